package pattern

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

var errNoAddress = errors.New("not an IP address")

// looksLikeAddress reports whether AWS would try to read a text as an address:
// four numbers with dots, or hexadecimal digits with colons.
func looksLikeAddress(s string) bool {
	if strings.Contains(s, ":") {
		return strings.Trim(s, "0123456789abcdefABCDEF:") == ""
	}
	parts := strings.Split(s, ".")
	for _, part := range parts {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return false
		}
	}
	return len(parts) == 4
}

// parseAddress reads an IPv4 or IPv6 address. Zeros before a number mean
// nothing, and an IPv4 address in IPv6 form is one of IPv4.
func parseAddress(s string) (netip.Addr, error) {
	if !looksLikeAddress(s) {
		return netip.Addr{}, errNoAddress
	}
	if strings.Contains(s, ":") {
		ip, err := netip.ParseAddr(s)
		return ip.Unmap(), err
	}
	var bytes [4]byte
	for i, part := range strings.Split(s, ".") {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return netip.Addr{}, err
		}
		bytes[i] = byte(n)
	}
	return netip.AddrFrom4(bytes), nil
}

// compileCIDR reads an address range such as "10.0.0.0/24". It begins at the
// address itself, and ends where the network does.
func compileCIDR(s string) (test, error) {
	address, bits, ok := strings.Cut(s, "/")
	if !ok || bits == "" || strings.Contains(bits, "/") {
		return nil, invalidf("Malformed CIDR, one '/' required")
	}
	n, err := strconv.ParseInt(bits, 10, 32)
	if err != nil {
		return nil, invalidf("Malformed CIDR, mask bits must be an integer")
	}
	if n < 0 {
		return nil, invalidf("Malformed CIDR, mask bits must not be negative")
	}
	if !looksLikeAddress(address) {
		return nil, invalidf("Nonstandard IP address: %s", address)
	}
	ip, err := parseAddress(address)
	switch {
	case err != nil:
		return nil, invalidf("Invalid IP address: %s", address)
	case ip.Is4() && n > 31:
		return nil, invalidf("IPv4 mask bits must be < 32")
	case n > 127:
		return nil, invalidf("IPv6 mask bits must be < 128")
	}
	network := netip.PrefixFrom(ip, int(n))
	return func(v *value) bool {
		if v.kind != text {
			return false
		}
		got, err := parseAddress(v.text)
		return err == nil && network.Contains(got) && got.Compare(ip) >= 0
	}, nil
}
