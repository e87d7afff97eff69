package cloudtrail

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode"
)

// hidden tells whether a member never reaches the trail. Secrets Manager's
// own are listed here too, so that an operation that forgets to name one
// leaks nothing.
func hidden(member string, redact []string) bool {
	switch member {
	case "SecretString", "SecretBinary", "RotationToken", "RandomPassword":
		return true
	}
	for _, name := range redact {
		if strings.EqualFold(name, member) {
			return true
		}
	}
	return false
}

// parameters is the input of a call as requestParameters: null where there is
// none.
func parameters(input json.RawMessage, operation string, redact []string) json.RawMessage {
	members, ok := decodeMembers(input)
	if !ok {
		return nil
	}
	if members["Action"] == operation { // the Query protocol's own fields
		delete(members, "Action")
		delete(members, "Version")
	}
	return encodeMembers(members, redact)
}

// responseElements is the answer of a write: null where it has no members. Of
// those that write a value CloudTrail tells the secret's ARN only.
func responseElements(operation string, output any, redact []string) json.RawMessage {
	switch operation {
	case "CreateSecret", "PutSecretValue", "UpdateSecret":
		redact = append([]string{"Name", "VersionId", "VersionStages", "ReplicationStatus"}, redact...)
	}
	return marshalMembers(output, redact)
}

func marshalMembers(v any, redact []string) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		return nil // an answer that cannot be encoded has no members to tell of
	}
	members, ok := decodeMembers(data)
	if !ok {
		return nil
	}
	return encodeMembers(members, redact)
}

func decodeMembers(data json.RawMessage) (map[string]any, bool) {
	if len(data) == 0 {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var members map[string]any
	err := dec.Decode(&members)
	return members, err == nil
}

func encodeMembers(members map[string]any, redact []string) json.RawMessage {
	renamed := rename(members, redact, true)
	if len(renamed) == 0 {
		return nil
	}
	data, err := json.Marshal(renamed)
	if err != nil {
		return nil // cannot be: it was decoded from JSON
	}
	return data
}

// rename spells the members of an object as CloudTrail does and leaves out
// the hidden ones, at any depth. The keys of a map, as opposed to the members
// of a structure, are data and stay as they are.
func rename(members map[string]any, redact []string, structure bool) map[string]any {
	out := make(map[string]any, len(members))
	for name, v := range members {
		if hidden(name, redact) {
			continue
		}
		key := name
		if structure {
			key = lowerCamel(name)
		}
		out[key] = renameValue(key, v, redact)
	}
	return out
}

func renameValue(key string, v any, redact []string) any {
	switch v := v.(type) {
	case map[string]any:
		return rename(v, redact, !isMap(key))
	case []any:
		list := make([]any, len(v))
		for i, element := range v {
			list[i] = renameValue("", element, redact) // of a list, always structures
		}
		return list
	case json.Number:
		if strings.HasSuffix(key, "Date") {
			return dateText(v)
		}
	}
	return v
}

// isMap tells whether a member's object is a map whose keys are data.
func isMap(member string) bool {
	switch member {
	case "versionIdsToStages", "encryptionContext", "tags", "attributes", "messageAttributes", "variables":
		return true
	}
	return false
}

// dateText writes a time as CloudTrail does: "Jul 10, 2023, 12:07:59 PM".
func dateText(n json.Number) any {
	seconds, err := n.Float64()
	if err != nil {
		return n
	}
	return time.UnixMilli(int64(seconds * 1000)).UTC().Format("Jan 2, 2006, 3:04:05 PM")
}

// lowerCamel spells a member's name as CloudTrail does: SecretId is secretId
// and ARN is arn.
func lowerCamel(name string) string {
	if name == "" || unicode.IsLower(rune(name[0])) {
		return name
	}
	if strings.ToUpper(name) == name {
		return strings.ToLower(name)
	}
	return strings.ToLower(name[:1]) + name[1:]
}
