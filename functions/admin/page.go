package admin

import (
	"embed"
	"net/http"
	"path"
	"strings"
)

// pageFiles are the page for operators: index.html, and what it takes. It holds
// nothing of its own, so everybody may have it; whatever it shows it asks the API
// for, with the operator's token.
//
//go:embed page
var pageFiles embed.FS

// pagePolicy lets the page load its own files and call the API, and nothing
// else: no script in a text, no other host, no frame around it.
var pagePolicy = strings.Join([]string{
	"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
	"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
}, "; ")

// A pageFile is an answer that is one of these files.
type pageFile struct {
	name string
	data []byte
}

// pageRoutes are a route for each file.
func pageRoutes() []route {
	all := []route{{"GET", "/admin", "page", "", "", servePage("index.html")}}
	for _, name := range []string{"page.js", "page.css", "icon.svg"} {
		all = append(all, route{"GET", "/admin/assets/" + name, "page", "", "", servePage(name)})
	}
	return all
}

// pageType is a file's type by its ending. What the machine says of it
// does not count: a browser runs no script of another type.
func pageType(ending string) string {
	switch ending {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	default:
		return "image/svg+xml"
	}
}

func servePage(name string) func(*Handler, *call) (*answer, error) {
	return func(*Handler, *call) (*answer, error) {
		data, err := pageFiles.ReadFile("page/" + name)
		if err != nil {
			return nil, err
		}
		return &answer{http.StatusOK, pageFile{name, data}}, nil
	}
}

// write sends the file.
func (f pageFile) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", pageType(path.Ext(f.name)))
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
	w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
	_, _ = w.Write(f.data) // a client that went away cannot be told
}
