package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

// httpget is the program "httpget URL [HEADER: VALUE]...", for scripts: it
// prints the status and the body of an answer, and its headers to standard
// error. A URL unix:PATH asks for /v1/dev-app at a socket.
func httpget(args []string) error {
	target, client := args[1], &http.Client{}
	if path, ok := strings.CutPrefix(target, "unix:"); ok {
		target = "http://localhost/v1/dev-app"
		client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}
	}
	req, err := http.NewRequest(http.MethodGet, strings.TrimSpace(target), http.NoBody)
	if err != nil {
		return err
	}
	for _, header := range args[2:] {
		name, value, _ := strings.Cut(header, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	fmt.Println(res.StatusCode)
	_ = res.Header.Write(os.Stderr)
	_, err = io.Copy(os.Stdout, res.Body)
	return err
}
