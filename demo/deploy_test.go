package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/libkv/store"
	"go.yaml.in/yaml/v3"
)

// The files under deploy are held against each other, against the program and
// against their page, since nothing here can start them.

const (
	composePath = "../deploy/compose.yaml"
	stackPath   = "../deploy/stack.yaml"
	pagePath    = "../docs/deploy.md"
	demoImage   = "sinew-demo"
)

// composeFile is what both kinds of file consist of. A field that is not here is
// one that was misspelt, or that this test is to learn.
type composeFile struct {
	Version, Name string
	Services      map[string]composeService
	Networks      map[string]*struct {
		Driver     string
		Attachable bool
	}
	Volumes    map[string]any
	Extensions map[string]any `yaml:",inline"`
}

type composeService struct {
	Image               string
	Build               *struct{ Context, Dockerfile string }
	Hostname, Restart   string
	Entrypoint, Command []string
	Environment         map[string]string
	Networks, Volumes   []string
	Profiles, Ports     []string
	StopGracePeriod     string `yaml:"stop_grace_period"`
	Healthcheck         *struct {
		Test              []string
		Interval, Timeout string
		Retries           int
		StartPeriod       string `yaml:"start_period"`
	}
	Deploy struct {
		Replicas     int
		EndpointMode string `yaml:"endpoint_mode"`
		Placement    struct{ Constraints []string }
		UpdateConfig struct {
			Order, Delay  string
			Parallelism   int
			FailureAction string `yaml:"failure_action"`
		} `yaml:"update_config"`
		RestartPolicy struct{ Condition, Delay string } `yaml:"restart_policy"`
	}
}

// deployment is one of the files, with what the image is.
type deployment struct {
	*testing.T
	path string
	file composeFile
	img  image
}

func readDeployment(t *testing.T, path string) *deployment {
	t.Helper()
	d := &deployment{T: t, path: path, img: readImage(t)}
	decoder := yaml.NewDecoder(bytes.NewReader(readAll(t, path)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&d.file); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for key := range d.file.Extensions {
		if !strings.HasPrefix(key, "x-") {
			t.Errorf("%s: %q is not understood", path, key)
		}
	}
	return d
}

func readAll(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// image is what the Dockerfile makes.
type image struct {
	base       string // of the stage that builds
	pkg        string // the package that is built
	binary     string // where it is built, and stands in the image
	port, web  string // of the calls, and of the gateway
	entrypoint []string
	command    []string
}

func readImage(t *testing.T) image {
	t.Helper()
	text := string(readAll(t, "../deploy/Dockerfile"))
	first := func(pattern string) []string {
		t.Helper()
		found := regexp.MustCompile(`(?m)` + pattern).FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("nothing like %s is in the Dockerfile", pattern)
		}
		return found[1:]
	}
	list := func(pattern string) (words []string) {
		t.Helper()
		if err := yaml.Unmarshal([]byte(first(pattern)[0]), &words); err != nil {
			t.Fatal(err)
		}
		return words
	}
	build := first(`^RUN .*go build .*-o (\S+) (\S+)$`)
	if from := first(`^COPY --from=build (\S+) (\S+)$`); from[0] != build[0] {
		t.Errorf("%s is built and %s is copied", build[0], from[0])
	}
	return image{
		base: first(`^FROM (\S+) AS build$`)[0], pkg: build[1], binary: first(`^COPY --from=build \S+ (\S+)$`)[0],
		port: first(`^EXPOSE (\d+) \d+$`)[0], web: first(`^EXPOSE \d+ (\d+)$`)[0], entrypoint: list(`^ENTRYPOINT (.*)$`), command: list(`^CMD (.*)$`),
	}
}

func TestDockerfileBuildsTheDemo(t *testing.T) {
	img := readImage(t)
	if here, err := filepath.Abs("."); err != nil || "./"+filepath.Base(here) != img.pkg {
		t.Errorf("%s is built, and the demo is in %s", img.pkg, here)
	}
	language := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(readAll(t, "../go.mod"))
	// A tag such as golang:1.26 may be an older one that a machine has, and the image
	// fetches no other toolchain.
	if language == nil || img.base != "golang:"+string(language[1]) {
		t.Errorf("it is built with %s, and go.mod says %s", img.base, language)
	}
	if len(img.entrypoint) != 1 || img.entrypoint[0] != img.binary {
		t.Errorf("ENTRYPOINT is %q, and the program is %s", img.entrypoint, img.binary)
	}
	s, err := parse(img.command, io.Discard)
	if err != nil || s.role != roleServer || portOf(s.addrs[0]) != img.port || portOf(s.web) != img.web {
		t.Errorf("CMD %q: %+v, %v; want a server on port %s, its gateway on %s", img.command, s, err, img.port, img.web)
	}
}

// What .dockerignore keeps from the build is nothing that it needs.
func TestDockerignoreLeavesTheDemo(t *testing.T) {
	needed, err := exec.Command("go", "list", "-deps", "-f", "{{if .Module}}{{if .Module.Main}}{{.Dir}}{{end}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for ignored := range strings.FieldsSeq(string(readAll(t, "../.dockerignore"))) {
		for dir := range strings.FieldsSeq(string(needed)) {
			if below := strings.TrimPrefix(dir, root+"/"); below == ignored || strings.HasPrefix(below, ignored+"/") {
				t.Errorf("%s is ignored, and %s is needed", ignored, below)
			}
		}
	}
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr) // empty is no port
	return port
}

func TestDeploymentsFitTogether(t *testing.T) {
	for _, path := range []string{composePath, stackPath} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			d := readDeployment(t, path)
			d.declaresWhatItUses()
			zookeepers := d.ensemble()
			if len(zookeepers) != 3 {
				t.Errorf("%d ZooKeepers: %q", len(zookeepers), zookeepers)
			}
			servers := 0
			for name, s := range d.file.Services {
				if d.isDemo(s) {
					servers += d.demo(name, s, zookeepers)
				}
			}
			if servers != 3 {
				t.Errorf("%d providers, want 3", servers)
			}
		})
	}
}

// isDemo reports whether a service runs the image of the Dockerfile.
func (d *deployment) isDemo(s composeService) bool {
	name := s.Image
	if inner, ok := strings.CutPrefix(name, "${SINEW_IMAGE:-"); ok {
		name = strings.TrimSuffix(inner, "}")
	}
	return strings.HasPrefix(name, demoImage+":")
}

// declaresWhatItUses checks networks, volumes, and what is built.
func (d *deployment) declaresWhatItUses() {
	networks, volumes := make(map[string]bool), make(map[string]bool)
	for name, s := range d.file.Services {
		if len(s.Networks) == 0 {
			d.Errorf("%s is on no network", name)
		}
		for _, n := range s.Networks {
			networks[n] = true
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if volumes[source] {
				d.Errorf("%s: the volume %s is another's too", name, source)
			}
			volumes[source] = true
		}
		if s.Build != nil {
			file := filepath.Join(filepath.Dir(d.path), s.Build.Context, s.Build.Dockerfile)
			if _, err := os.Stat(file); err != nil || !d.isDemo(s) {
				d.Errorf("%s: %v; builds %s", name, err, s.Image)
			}
		}
	}
	same(d.T, "networks", networks, d.file.Networks)
	same(d.T, "volumes", volumes, d.file.Volumes)
}

// same compares what is used with what is declared.
func same[V any](t *testing.T, what string, used map[string]bool, declared map[string]V) {
	t.Helper()
	got, want := slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(declared))
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q are used, %q are declared", what, got, want)
	}
}

// ensemble checks the ZooKeepers and returns host:port of each.
func (d *deployment) ensemble() (addrs []string) {
	member := regexp.MustCompile(`^server\.(\d+)=([a-z0-9]+):2888:3888;(\d+)$`)
	for name, s := range d.file.Services {
		if !strings.HasPrefix(s.Image, "zookeeper:") {
			continue
		}
		mine := false
		addrs = addrs[:0]
		for server := range strings.FieldsSeq(s.Environment["ZOO_SERVERS"]) {
			m := member.FindStringSubmatch(server)
			if m == nil || d.file.Services[m[2]].Image != s.Image {
				d.Fatalf("%s: %q names no ZooKeeper of this file", name, server)
			}
			addrs = append(addrs, net.JoinHostPort(m[2], m[3]))
			mine = mine || m[1] == s.Environment["ZOO_MY_ID"] && m[2] == name
		}
		if !mine || s.Hostname != name {
			d.Errorf("%s: hostname %q and ZOO_MY_ID %q do not agree with ZOO_SERVERS", name, s.Hostname, s.Environment["ZOO_MY_ID"])
		}
		if s.Environment["ZOO_AUTOPURGE_PURGEINTERVAL"] == "" {
			d.Errorf("%s never purges its logs, to which each renewal of an entry adds", name)
		}
		if want := []string{name + ":/data", name + "-log:/datalog"}; !slices.Equal(s.Volumes, want) {
			d.Errorf("%s: volumes %q, want %q", name, s.Volumes, want)
		}
		if d.path == stackPath {
			want := "node.labels.sinew.zookeeper == " + s.Environment["ZOO_MY_ID"]
			if got := s.Deploy.Placement.Constraints; !slices.Equal(got, []string{want}) {
				d.Errorf("%s: constraints %q, want %q", name, got, want)
			}
		}
	}
	return addrs
}

// afterDrain is how long a server may take when it has drained: for a registry that
// does not answer, and for handlers that do not end.
const afterDrain = 2 * time.Second

// demo checks a service that runs the demo, and returns how many servers it is.
func (d *deployment) demo(name string, s composeService, zookeepers []string) (servers int) {
	given := parsed(d.T, name, d.img, s.Entrypoint, s.Command)
	location, err := parseRegistry(given.registry)
	if err != nil || location.Backend != store.ZK || !slices.Equal(location.Addrs, zookeepers) {
		d.Errorf("%s: -registry %s, %v; the ZooKeepers are %q", name, given.registry, err, zookeepers)
	}
	if given.role != roleServer {
		return 0
	}
	if host, port, _ := net.SplitHostPort(given.addrs[0]); host != "" || port != d.img.port {
		d.Errorf("%s listens on %s, want every address and port %s", name, given.addrs[0], d.img.port)
	}
	if given.web != ":"+d.img.web {
		d.Errorf("%s has its gateway on %s, want every address and port %s", name, given.web, d.img.web)
	}
	for _, p := range s.Ports {
		if !strings.HasSuffix(p, ":"+d.img.web+":"+d.img.web) && p != d.img.web+":"+d.img.web {
			d.Errorf("%s publishes %s, want the gateway's %s alone, under the same number", name, p, d.img.web)
		}
	}
	servers = max(1, s.Deploy.Replicas)
	if a := given.advertise; a != "" && (a != name || servers > 1) {
		d.Errorf("%s advertises %q: that must be a name for it alone", name, a)
	}
	if d.path == composePath && given.advertise == "" {
		d.Errorf("%s advertises nothing", name)
	}
	if wait, err := time.ParseDuration(s.StopGracePeriod); err != nil || wait <= webDrainTime+drainTime+afterDrain {
		d.Errorf("%s: stop_grace_period %q, %v: a gateway drains for %v, then its server for %v, and what follows takes %v", name, s.StopGracePeriod, err, webDrainTime, drainTime, afterDrain)
	}
	if s.Healthcheck == nil || len(s.Healthcheck.Test) < 3 || s.Healthcheck.Test[0] != "CMD" {
		d.Fatalf("%s: healthcheck %+v", name, s.Healthcheck)
	}
	check := parsed(d.T, name, d.img, s.Healthcheck.Test[1:2], s.Healthcheck.Test[2:])
	if check.role != roleCall || len(check.addrs) != 1 || portOf(check.addrs[0]) != d.img.port {
		d.Errorf("%s: the healthcheck %q is no call of its own port", name, s.Healthcheck.Test)
	}
	return servers
}

// parsed is a command line of the image, as the demo understands it.
func parsed(t *testing.T, name string, img image, entrypoint, command []string) settings {
	t.Helper()
	if len(entrypoint) == 0 {
		entrypoint = img.entrypoint
	}
	if entrypoint[0] != img.binary {
		t.Errorf("%s starts %s, and the program is %s", name, entrypoint[0], img.binary)
	}
	s, err := parse(append(slices.Clone(entrypoint[1:]), command...), io.Discard)
	if err != nil {
		t.Errorf("%s: %q %q: %v", name, entrypoint, command, err)
	}
	return s
}

// The page names files, services, labels and networks that are there, and command
// lines that work.
func TestDeployPage(t *testing.T) {
	page := string(readAll(t, pagePath))
	for _, link := range regexp.MustCompile(`\]\((\.\./[^)]+)\)`).FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(filepath.Join(filepath.Dir(pagePath), link[1])); err != nil {
			t.Error(err)
		}
	}
	for _, file := range regexp.MustCompile(`(?:-f|-c) (deploy/\S+)`).FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(filepath.Join("..", file[1])); err != nil {
			t.Error(err)
		}
	}
	compose, stack := readDeployment(t, composePath), readDeployment(t, stackPath)
	for _, m := range regexp.MustCompile(`docker compose .*?(?:run --rm|stop|kill) (\S+) *(.*)`).FindAllStringSubmatch(page, -1) {
		s, there := compose.file.Services[m[1]]
		if !there {
			t.Errorf("%q: there is no service %s", m[0], m[1])
			continue
		}
		if m[1] == "client" && m[2] != "" {
			parsed(t, m[0], compose.img, s.Entrypoint, strings.Fields(strings.ReplaceAll(m[2], "'", "")))
		}
	}
	if url := "http://127.0.0.1:" + compose.img.web + "/ArithService/Add"; !strings.Contains(page, url) || !strings.Contains(page, "port "+stack.img.web+" of every node") {
		t.Errorf("the page does not say where the gateways are: %s", url)
	}
	const stackName = "sinew"
	for _, want := range []string{
		"docker stack deploy -c deploy/stack.yaml " + stackName,
		fmt.Sprintf("--network %s_rpc", stackName),
		"docker service scale " + stackName + "_provider=",
		"docker service update --image registry.example.org/" + demoImage,
		"SINEW_IMAGE=registry.example.org/" + demoImage,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if stack.file.Networks["rpc"] == nil || !stack.file.Networks["rpc"].Attachable || stack.file.Networks["rpc"].Driver != "overlay" {
		t.Error("the stack's network rpc cannot be attached to")
	}
	for i := range 3 {
		if label := fmt.Sprintf("--label-add sinew.zookeeper=%d ", i+1); !strings.Contains(page, label) {
			t.Errorf("%q is not on the page", label)
		}
	}
	swarm := regexp.MustCompile(`(?s)docker run --rm --network \S+ \S+ \\\s+(client [^\n]*)`).FindStringSubmatch(page)
	if swarm == nil {
		t.Fatal("the page does not say how to run a client in the swarm")
	}
	s := parsed(t, "the swarm's client", stack.img, nil, strings.Fields(swarm[1]))
	if location, err := parseRegistry(s.registry); err != nil || !slices.Equal(location.Addrs, stack.ensemble()) {
		t.Errorf("the swarm's client looks at %q, %v", location.Addrs, err)
	}
}
