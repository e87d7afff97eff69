package apikey

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/rekey-go/rekey/rotation"
)

// HTTP makes and revokes keys by an API that a [Definition] describes.
type HTTP struct {
	client *http.Client
	def    Definition
}

var _ Provider = (*HTTP)(nil)

// NewHTTP returns the provider of a definition that [ParseDefinitions] has read.
func NewHTTP(client *http.Client, d Definition) *HTTP { return &HTTP{client, d} }

// Verify makes the verifying call with the key.
func (h *HTTP) Verify(ctx context.Context, k Key) error {
	return h.do(ctx, h.def.Verify, k, map[string]string{"{id}": k.ID}, nil)
}

// maxPages bounds a list.
const maxPages = 100

// List lists all pages.
func (h *HTTP) List(ctx context.Context, by Key) ([]Key, error) {
	var keys []Key
	page := h.def.List.Call
	for range maxPages {
		var answer any
		if err := h.do(ctx, page, by, nil, &answer); err != nil {
			return nil, err
		}
		items, ok := at(answer, h.def.List.Items).([]any)
		if !ok {
			return nil, configurationf("the answer to list has no list at %q", h.def.List.Items)
		}
		for _, item := range items {
			keys = append(keys, Key{ID: textAt(item, h.def.List.ID), Name: textAt(item, h.def.List.Name)})
		}
		next := ""
		if h.def.List.Next != "" {
			next = textAt(answer, h.def.List.Next)
		}
		if next == "" {
			return keys, nil
		}
		var err error
		if page.URL, err = follow(page.URL, next); err != nil {
			return nil, err
		}
	}
	return nil, configurationf("the list has more than %d pages", maxPages)
}

// follow is the address of the next page, which must be at the same host.
func follow(from, next string) (string, error) {
	base, err := url.Parse(from)
	if err != nil {
		return "", configurationf("the address of list is none")
	}
	u, err := base.Parse(next)
	if err != nil || u.Scheme != base.Scheme || u.Host != base.Host {
		return "", configurationf("the next page of the list is at another host than the list")
	}
	return u.String(), nil
}

// Create makes a key. What it may do is up to the definition.
func (h *HTTP) Create(ctx context.Context, by Key, name string, _ Key) (Key, error) {
	if h.def.Limit > 0 {
		if keys, err := h.List(ctx, by); err != nil || len(keys) >= h.def.Limit {
			return Key{}, noRoom(err)
		}
	}
	var answer any
	fill := map[string]string{"{name}": name, "{expires}": time.Now().UTC().Add(h.def.lifetime).Format(time.DateOnly)}
	if err := h.do(ctx, h.def.Create.Call, by, fill, &answer); err != nil {
		return Key{}, err
	}
	k := Key{ID: textAt(answer, h.def.Create.ID), Name: name, Secret: rotation.NewValue(textAt(answer, h.def.Create.Secret))}
	if k.ID == "" || k.Secret.Empty() {
		return Key{}, configurationf("the answer to create has no text at %q or at %q", h.def.Create.ID, h.def.Create.Secret)
	}
	return k, nil
}

func noRoom(err error) error {
	if err != nil {
		return err
	}
	return ErrNoRoom
}

// Delete makes the deleting call.
func (h *HTTP) Delete(ctx context.Context, by Key, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	err := h.do(ctx, h.def.Delete, by, map[string]string{"{id}": id}, nil)
	if s := status(err); s == http.StatusNotFound || s == http.StatusGone {
		return nil
	}
	return err
}

func (h *HTTP) do(ctx context.Context, c Call, with Key, fill map[string]string, out any) error {
	req, err := h.def.filled(c, with, fill)
	if err != nil {
		return err
	}
	return do(ctx, h.client, req, out)
}
