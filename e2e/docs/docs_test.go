package shop

import (
	"context"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/getkin/kin-openapi/openapi3"

	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/gateway/openapi"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
)

var screenshot = flag.String("screenshot", "", "a file for a picture of the page")

// patience is how long the browser may take for all of a test: it starts anew,
// and the machine may be busy.
const patience = 2 * time.Minute

type Arith struct{}

type Operands struct {
	A int64 `description:"the first"`
	B int64 `description:"the second"`
}

type Sum struct{ C int64 }

func (Arith) Add(_ context.Context, in *Operands, out *Sum) error {
	out.C = in.A + in.B
	return nil
}

func (Arith) Divide(_ context.Context, in *Operands, out *Sum) error {
	if in.B == 0 {
		return protocol.NewError(protocol.InvalidArgument, "division by zero: B must not be 0")
	}
	out.C = in.A / in.B
	return nil
}

type Line struct {
	Article string `json:"article" required:"true"`
	Count   int    `json:"count"`
}

type Order struct {
	ID     int64  `json:"id" required:"true" description:"which order"`
	Colour string `json:"colour,omitempty" enum:"red,green"`
	Gift   bool   `json:"gift,omitempty"`
	Lines  []Line `json:"lines,omitempty"`
	Next   *Order `json:"next,omitempty"`
}

type Orders struct{}

func (Orders) Update(_ context.Context, in, out *Order) error {
	*out = *in
	return nil
}

type Who struct{ Token string }

// Whoami answers with the credential of the call.
func (Orders) Whoami(ctx context.Context, _ *Who, out *Who) error {
	out.Token, _ = protocol.MetaValue(ctx, protocol.MetaAuth)
	return nil
}

// start serves a gateway with its documents.
func start(t *testing.T) *httptest.Server {
	t.Helper()
	s, err := server.NewSGServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for name, service := range map[string]any{"ArithService": Arith{}, "Orders": Orders{}} {
		if err := s.RegisterName(name, service); err != nil {
			t.Fatal(err)
		}
	}
	g, err := gateway.New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Bind("PUT /v1/orders/{id}", "Orders.Update"); err != nil {
		t.Fatal(err)
	}
	if err := openapi.Mount(g, &openapi.Option{Title: "The services of a shop"}); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(g)
	t.Cleanup(web.Close)
	return web
}

// browser returns a context of a page in headless Chromium.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		const missing = "no chromium is installed: make browser installs it"
		if os.Getenv("SINEW_REQUIRE_SERVERS") == "1" {
			t.Fatal(missing)
		}
		t.Skip("SKIPPED: " + missing)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx,
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(patience),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.WindowSize(1100, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true))
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("the browser ended by %v", err)
		}
		cancel()
	})
	return ctx
}

// page is a page in a browser.
type page struct {
	t   *testing.T
	ctx context.Context
}

// open shows the page of web's services.
func open(t *testing.T, web *httptest.Server) page {
	t.Helper()
	p := page{t, browser(t)}
	p.do(chromedp.Navigate(web.URL+"/docs"), chromedp.WaitVisible(chromedp.CSS("section.service")))
	return p
}

func (p page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// read returns what an action finds on the page.
func read[T any](p page, a chromedp.Action[T]) T {
	p.t.Helper()
	found, err := chromedp.Run(p.ctx, a)
	if err != nil {
		p.t.Fatal(err)
	}
	return found
}

// texts returns the text of each element that is selected.
func (p page) texts(selector string) []string {
	p.t.Helper()
	return read(p, chromedp.Evaluate[[]string](`[...document.querySelectorAll("`+selector+`")].map((node) => node.textContent)`))
}

// call opens a method, types into its fields, calls it and returns what is shown.
func (p page) call(id string, fields map[string]string) (status, text string) {
	p.t.Helper()
	within := func(selector string) chromedp.CSS { return chromedp.CSS(`[id="` + id + `"] ` + selector) }
	p.do(chromedp.Click(within("> summary")), chromedp.WaitVisible(within("form")))
	for name, value := range fields {
		p.do(chromedp.SendKeys(within(`[name="`+name+`"]`), value))
	}
	p.do(chromedp.Click(within("button")), chromedp.WaitVisible(within(".answer")))
	return read(p, chromedp.Text(within(".answer .status"))), read(p, chromedp.Text(within(".answer .text")))
}

func TestPageInABrowser(t *testing.T) {
	p := open(t, start(t))
	title, services, methods := read(p, chromedp.Title()), p.texts("section.service h2"), p.texts("details.method > summary")
	if title != "The services of a shop" || !slices.Equal(services, []string{"ArithService", "Orders"}) {
		t.Errorf("the page %q lists %q", title, services)
	}
	if want := "Add (shop.Operands) → shop.Sum"; len(methods) != 4 || methods[0] != want {
		t.Errorf("the methods are %q, want %q first of four", methods, want)
	}

	status, text := p.call("ArithService.Add", map[string]string{"A": "9007199254740993", "B": "1"})
	if text != `{"C":9007199254740994}` || !strings.HasPrefix(status, "200 ") {
		t.Errorf("a sum is shown as %s %s", status, text)
	}

	status, text = p.call("ArithService.Divide", map[string]string{"A": "1"})
	failed := read(p, chromedp.Evaluate[bool](`document.querySelector('[id="ArithService.Divide"] .answer').classList.contains("error")`))
	if !failed || text != "invalid_argument: division by zero: B must not be 0" || !strings.HasPrefix(status, "400 ") || !strings.HasSuffix(status, "outcome Ran") {
		t.Errorf("an error is shown as %s %s, as an error %v", status, text, failed)
	}
	if *screenshot != "" {
		if err := os.WriteFile(*screenshot, read(p, chromedp.FullScreenshot(100)), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	status, text = p.call("Orders.Update", map[string]string{"id": "7", "lines": `[{"article":"<b>ink</b>","count":2}]`, "colour": "green", "gift": " "})
	if want := `{"id":7,"colour":"green","gift":true,"lines":[{"article":"<b>ink</b>","count":2}]}`; text != want {
		t.Errorf("an order is shown as %s %s, want %s", status, text, want)
	}

	p.do(chromedp.SendKeys(chromedp.CSS("#authorization"), "Bearer hello01"))
	if _, text = p.call("Orders.Whoami", nil); text != `{"Token":"hello01"}` {
		t.Errorf("the provider was told %s", text)
	}

	p.do(chromedp.SendKeys(chromedp.CSS("#find"), "divide"))
	if methods := p.texts("details.method:not([hidden]) > summary b"); !slices.Equal(methods, []string{"Divide"}) {
		t.Errorf("looking for divide finds %q", methods)
	}
}

// What is typed wrongly is told before anything is sent.
func TestPageRefusesWhatIsNoNumber(t *testing.T) {
	p := open(t, start(t))
	if status, text := p.call("ArithService.Add", map[string]string{"A": "one"}); status != "Not sent" || text != "A is no number" {
		t.Errorf("%q %q", status, text)
	}
}

func TestDocumentIsValid(t *testing.T) {
	web := start(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL+"/openapi.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := web.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Errorf("%v in %s", err, text)
	}
	if doc.Paths.Value("/v1/orders/{id}") == nil || doc.Paths.Value("/ArithService/Add") == nil {
		t.Errorf("paths are missing in %s", text)
	}
}
