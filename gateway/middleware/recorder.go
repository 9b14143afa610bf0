package middleware

import "net/http"

// recorder notes what becomes of a response.
type recorder struct {
	http.ResponseWriter
	status int   // 0: nothing was written
	bytes  int64 // of the body
}

// WriteHeader implements http.ResponseWriter. Informational responses (1xx) come
// before the one that counts.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
