package local_test

import (
	"testing"
	"time"

	"github.com/rekey-go/rekey/internal/local"
)

func TestSpansAreRead(t *testing.T) {
	t.Parallel()
	tests := map[string]time.Duration{
		"36h": 36 * time.Hour, "90d": 90 * 24 * time.Hour, "1d12h": 36 * time.Hour, "1s": time.Second, "3650d": 3650 * 24 * time.Hour,
		"": 0, "d": 0, "0d": 0, "0s": 0, "-1d": 0, "-1h": 0, "1": 0, "1d-1h": 0, "tomorrow": 0, "1.5d": 0,
		"3651d": 0, "3650d1s": 0, "4294967297d": 0, "99999999999999999999d": 0, "2562047h": 0,
	}
	for text, want := range tests {
		got, err := local.ParseSpan(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("ParseSpan(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

func FuzzParseSpan(f *testing.F) {
	for _, text := range []string{"36h", "90d", "1d12h", "-5d", "d", "9223372036854775807d", "1d1d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := local.ParseSpan(text)
		if err == nil && (d <= 0 || d > 10*365*24*time.Hour) {
			t.Errorf("ParseSpan(%q) = %v", text, d)
		}
	})
}
