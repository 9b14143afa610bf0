package endpoint

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// What Err has said once it says for ever, whatever ends the context besides.
func TestErrDoesNotChange(t *testing.T) {
	for name, look := range map[string]func(c *Context) error{
		"Err": (*Context).Err,
		"Done": func(c *Context) error {
			<-c.Done()
			return context.DeadlineExceeded
		},
	} {
		for end, after := range map[string]func(c *Context, cancelParent func()){
			"End":    func(c *Context, _ func()) { c.End() },
			"parent": func(_ *Context, cancelParent func()) { cancelParent() },
		} {
			t.Run(name+", "+end, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					parent, cancelParent := context.WithCancel(t.Context())
					defer cancelParent()
					c := Bound(parent, time.Second)
					defer c.End()
					time.Sleep(2 * time.Second)
					said := look(c)
					if said != context.DeadlineExceeded {
						t.Fatal(said)
					}
					after(c, cancelParent)
					if got := c.Err(); got != said {
						t.Errorf("%v, and then %v", said, got)
					}
				})
			})
		}
	}
}
