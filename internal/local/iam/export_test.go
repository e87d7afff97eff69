package iam

// Like compares a text with a pattern.
func Like(pattern, text string) bool { return glob{text: pattern}.match(text) }
