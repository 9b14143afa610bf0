package protocol

import "testing"

func TestPriorityOf(t *testing.T) {
	for text, want := range map[string]int{
		"0": 0, "3": 3, "-3": -3, "8": 8, "-8": -8, "9": 8, "-100": -8,
		"": 0, "high": 0, "1.5": 0, "1e3": 0, "128": 8, "99999999999999999999": 8, "-129": -8,
	} {
		if got := PriorityOf(map[string]string{MetaPriority: text}); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if PriorityOf(nil) != 0 {
		t.Error("a request without metadata has a priority")
	}
	for n := MinPriority; n <= MaxPriority; n++ {
		if got := PriorityOf(map[string]string{MetaPriority: FormatPriority(n)}); got != n {
			t.Errorf("%d arrives as %d", n, got)
		}
	}
}
