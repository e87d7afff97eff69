package lambda

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// routesOfTags are about the tags of functions and of event source mappings,
// which are named by their ARNs.
func (s *Service) routesOfTags() []wire.Route {
	const path = " /2017-03-31/tags/{name}"
	return []wire.Route{
		{Pattern: "GET" + path, Operation: "ListTags20170331", Access: wire.Read, Serve: s.serveTags},
		{Pattern: "POST" + path, Operation: "TagResource20170331v2", Access: wire.Write, Serve: s.serveTag},
		{Pattern: "DELETE" + path, Operation: "UntagResource20170331v2", Access: wire.Write, Serve: s.serveUntag},
	}
}

func (s *Service) serveTags(w http.ResponseWriter, r *http.Request, _ *wire.Call) error {
	tags, err := s.tagsOf(r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"Tags": tags})
}

func (s *Service) serveTag(w http.ResponseWriter, r *http.Request, c *wire.Call) error {
	var in struct{ Tags map[string]string }
	if err := decodeInput(r, c, &in); err != nil {
		return err
	}
	c.Input, _ = json.Marshal(map[string]any{"Resource": r.PathValue("name"), "Tags": in.Tags}) // texts always encode
	if len(in.Tags) == 0 {
		return invalidParameter("Tags are required")
	}
	return s.editTags(w, r, func(tags map[string]string) { maps.Copy(tags, in.Tags) })
}

func (s *Service) serveUntag(w http.ResponseWriter, r *http.Request, c *wire.Call) error {
	keys := r.URL.Query()["tagKeys"]
	c.Input, _ = json.Marshal(map[string]any{"Resource": r.PathValue("name"), "TagKeys": keys}) // as in serveTag
	return s.editTags(w, r, func(tags map[string]string) {
		for _, key := range keys {
			delete(tags, key)
		}
	})
}

// editTags replaces tags by what edit makes of a copy.
func (s *Service) editTags(w http.ResponseWriter, r *http.Request, edit func(tags map[string]string)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	tags, err := s.tagsLocked(r.PathValue("name"))
	if err != nil {
		return err
	}
	next := copied(*tags)
	edit(next)
	*tags = next
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// tagsLocked are those of the function or mapping with an ARN, to read or to
// replace.
func (s *Service) tagsLocked(arn string) (*map[string]string, error) {
	if _, id, ok := strings.Cut(arn, mappingPart); ok {
		i := slices.IndexFunc(s.mappings, func(m mapping) bool { return m.id == id })
		if i < 0 {
			return nil, notFound("The resource you requested does not exist.")
		}
		return &s.mappings[i].tags, nil
	}
	f, err := s.findLocked(arn)
	if err != nil {
		return nil, err
	}
	return &f.Tags, nil
}

// tagsOf is a copy of the tags of the function or mapping with an ARN.
func (s *Service) tagsOf(arn string) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tags, err := s.tagsLocked(arn)
	if err != nil {
		return nil, err
	}
	return copied(*tags), nil
}

func copied(tags map[string]string) map[string]string {
	out := make(map[string]string, len(tags))
	maps.Copy(out, tags)
	return out
}
