// Package dubbogo tests gateway/dubbo and registry/dubbo against dubbo-go's client
// and server, through a real ZooKeeper. It is a module of its own: what dubbo-go
// needs reaches no user.
package dubbogo

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"dubbo.apache.org/dubbo-go/v3/client"
	_ "dubbo.apache.org/dubbo-go/v3/cluster/cluster/failover"
	_ "dubbo.apache.org/dubbo-go/v3/cluster/loadbalance/random"
	_ "dubbo.apache.org/dubbo-go/v3/filter/accesslog"
	_ "dubbo.apache.org/dubbo-go/v3/filter/echo"
	_ "dubbo.apache.org/dubbo-go/v3/filter/exec_limit"
	_ "dubbo.apache.org/dubbo-go/v3/filter/generic"
	_ "dubbo.apache.org/dubbo-go/v3/filter/graceful_shutdown"
	_ "dubbo.apache.org/dubbo-go/v3/filter/token"
	_ "dubbo.apache.org/dubbo-go/v3/filter/tps"
	"dubbo.apache.org/dubbo-go/v3/protocol"
	_ "dubbo.apache.org/dubbo-go/v3/protocol/jsonrpc"
	_ "dubbo.apache.org/dubbo-go/v3/proxy/proxy_factory"
	dubboregistry "dubbo.apache.org/dubbo-go/v3/registry"
	_ "dubbo.apache.org/dubbo-go/v3/registry/directory"
	_ "dubbo.apache.org/dubbo-go/v3/registry/protocol"
	_ "dubbo.apache.org/dubbo-go/v3/registry/zookeeper"
	"dubbo.apache.org/dubbo-go/v3/server"
)

// dubbo-go keeps what it starts until its process ends. So its halves are
// processes: this test binary again, with a role.
const (
	roleVariable = "SINEW_DUBBOGO_ROLE"
	roleServer   = "server"
	roleClient   = "client"
)

const (
	inter   = "com.example.UserProvider"
	group   = "lf"
	version = "1.0"
)

// User is what both sides exchange.
type User struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Age  int64  `json:"age"`
}

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(roleVariable) {
	case roleServer:
		err = serveWithDubbo(os.Args[1], os.Args[2])
	case roleClient:
		err = callWithDubbo(os.Args[1])
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// UserProvider is dubbo-go's service.
type UserProvider struct{}

// GetUser is called with the parameters by position.
func (*UserProvider) GetUser(_ context.Context, args []any) (*User, error) {
	id, ok := args[0].(string)
	if !ok || id == "" {
		return nil, fmt.Errorf("no such user")
	}
	return &User{ID: id, Name: "of dubbo-go", Age: 1 << 40}, nil
}

func zookeeper(addr string) dubboregistry.Option {
	return func(o *dubboregistry.Options) {
		for _, apply := range []dubboregistry.Option{
			dubboregistry.WithZookeeper(), dubboregistry.WithAddress(addr), dubboregistry.WithRegisterInterface(),
			dubboregistry.WithoutUseAsMetaReport(), dubboregistry.WithoutUseAsConfigCenter(),
		} {
			apply(o)
		}
	}
}

// serveWithDubbo serves UserProvider with dubbo-go, until the process ends.
func serveWithDubbo(zk, port string) error {
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	s, err := server.NewServer(
		server.WithServerRegistry(zookeeper(zk)),
		server.WithServerProtocol(protocol.WithJSONRPC(), protocol.WithIp("127.0.0.1"), protocol.WithPort(number)),
	)
	if err != nil {
		return err
	}
	if err := s.Register(&UserProvider{}, nil, server.WithInterface(inter), server.WithGroup(group), server.WithVersion(version)); err != nil {
		return err
	}
	return s.Serve()
}

// callWithDubbo calls what is registered with dubbo-go's client, and prints what
// came of it.
func callWithDubbo(zk string) error {
	c, err := client.NewClient(
		client.WithClientRegistry(zookeeper(zk)),
		client.WithClientProtocolJsonRPC(),
		client.WithClientRequestTimeout(5*time.Second),
	)
	if err != nil {
		return err
	}
	conn, err := c.Dial(inter, client.WithGroup(group), client.WithVersion(version))
	if err != nil {
		return err
	}
	for _, id := range []string{"A001", ""} {
		user := new(User)
		err := conn.CallUnary(context.Background(), []any{id}, user, "GetUser")
		report(map[string]any{"user": user, "error": fmt.Sprint(err)})
	}
	renamed := new(User)
	err = conn.CallUnary(context.Background(), []any{User{ID: "A2", Name: "bob", Age: 1 << 53}}, renamed, "rename")
	report(map[string]any{"user": renamed, "error": fmt.Sprint(err)})
	return nil
}

func report(v any) {
	line, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	fmt.Println("REPORT " + string(line))
}

// dubbo starts this binary in a role.
func dubbo(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Dir = t.TempDir() // dubbo-go writes logs where it runs
	return cmd
}

// reports are the lines that a client printed.
func reports(t *testing.T, out []byte) (lines []string) {
	t.Helper()
	for scanner := bufio.NewScanner(strings.NewReader(string(out))); scanner.Scan(); {
		if line, ok := strings.CutPrefix(scanner.Text(), "REPORT "); ok {
			lines = append(lines, line)
		}
	}
	return lines
}
