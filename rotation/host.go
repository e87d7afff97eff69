package rotation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Hosts are the servers that a rotation may connect to: a secret's value, which
// names the server, must not lead a function to any other place in its network.
// The zero value lets every server be reached but those that no target is at:
// link-local addresses, behind one of which clouds keep their metadata, and
// multicast.
type Hosts struct {
	names    []string // lower case; one that begins with a dot stands for all below
	prefixes []netip.Prefix
	resolver *net.Resolver // nil for the system's
}

// ParseHosts reads a list such as "db.example.com, *.rds.amazonaws.com,
// 10.0.0.0/8, ::1". An empty list is the zero value.
func ParseHosts(list string) (Hosts, error) {
	var h Hosts
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.ToLower(strings.TrimSpace(entry))
		prefix, isPrefix := parsePrefix(entry)
		switch {
		case entry == "":
		case isPrefix:
			h.prefixes = append(h.prefixes, prefix)
		case strings.ContainsAny(entry, "/: ") || strings.Contains(strings.TrimPrefix(entry, "*."), "*"):
			return Hosts{}, configurationf("%q is no host: give a name, *.name, an address or a prefix such as 10.0.0.0/8", entry)
		default:
			h.names = append(h.names, strings.TrimPrefix(entry, "*"))
		}
	}
	return h, nil
}

func parsePrefix(text string) (netip.Prefix, bool) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix.Masked(), true
	}
	address, err := netip.ParseAddr(text)
	return netip.PrefixFrom(address, address.BitLen()), err == nil
}

// Dial connects to an address "host:port". It looks the host up once, and
// connects to an address that it has checked: an answer that changes in between
// leads nowhere else.
func (h Hosts) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, configurationf("%q is no address of a server", address)
	}
	found, err := h.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, ip := range found {
		if err := h.check(host, ip.Unmap()); err != nil {
			errs = append(errs, err)
			continue
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(ip.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// check refuses a host at an address.
func (h Hosts) check(host string, ip netip.Addr) error {
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
		return configurationf("the host %q is at %v, where no target of a rotation is", host, ip)
	}
	named := slices.ContainsFunc(h.names, func(name string) bool {
		host := strings.ToLower(strings.TrimSuffix(host, "."))
		return host == name || strings.HasPrefix(name, ".") && strings.HasSuffix(host, name)
	})
	within := slices.ContainsFunc(h.prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
	if named || within || len(h.names)+len(h.prefixes) == 0 {
		return nil
	}
	return fmt.Errorf("%w: the host %q (%v) is none that the function may connect to; add it to REKEY_ALLOWED_HOSTS", ErrConfiguration, host, ip)
}
