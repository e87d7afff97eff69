package corpus

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

var (
	accounts = []string{"111122223333", "222233334444", "333344445555", "444455556666"}
	regions  = []string{"eu-west-1", "us-east-1", "ap-southeast-2"}
)

// organisation is that of the last two accounts, whose files lie below it.
const organisation = "o-exampleorg1"

// every is how much of a stream's time a file holds.
const every = 5 * time.Minute

// A world is who is there and what was counted so far.
type world struct {
	opts   Options
	rand   *rand.Rand
	truth  Truth
	counts map[pair]*Access
	taken  map[moment]bool
	// again are the records that a later file of a stream has, too.
	again [][][]byte
	known []bool // whether a record told the whole ARN of a secret
}

type pair struct{ secret, principal int }

// A moment is when a principal reads a secret, so coarse that the decrypt of
// another read of theirs is never near.
type moment struct {
	pair
	slot int64
}

const slot = 16 // seconds

func newWorld(opts Options) *world {
	return &world{
		opts: opts, rand: rand.New(rand.NewPCG(opts.Seed, 7)), //nolint:gosec // the same each time, on purpose.
		counts: make(map[pair]*Access), taken: make(map[moment]bool),
		again: make([][][]byte, len(accounts)*len(regions)), known: make([]bool, opts.Secrets),
	}
}

// A stream is an account in a Region: its files follow one another.
func (w *world) stream(i int) (account, region string) {
	return accounts[i%len(accounts)], regions[i/len(accounts)%len(regions)]
}

func (w *world) streams() int { return len(w.again) }

// A secret is one of the secrets.
type secret struct {
	number               int
	name, arn            string
	account, region, key string
}

// partial is the secret's ARN without its random end.
func (s secret) partial() string { return s.arn[:len(s.arn)-7] }

// secret returns one. Every third name ends like an ARN does.
func (w *world) secret(number int) secret {
	account, region := w.stream(number % w.streams())
	name := fmt.Sprintf("app-%05d/database", number)
	if number%3 == 0 {
		name = fmt.Sprintf("service-%05d-prod12", number)
	}
	const letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
	end := make([]byte, 6)
	for i, b := range digest("secret", number)[:6] {
		end[i] = letters[int(b)%len(letters)]
	}
	return secret{
		number: number, name: name, account: account, region: region,
		arn: fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-%s", region, account, name, end),
		key: fmt.Sprintf("arn:aws:kms:%s:%s:key/%s", region, account, uuid("key", number%7)),
	}
}

// version is the version that is current at a time. Each secret is rotated
// every eleven hours, at a time of its own.
func (s secret) version(at time.Time) string {
	const turn = 11 * 60 * 60 / slot
	return uuid("version", s.number, int(at.Unix()/slot+int64(s.number*37))/turn)
}

// old is the version before.
func (s secret) old(at time.Time) string { return s.version(at.Add(-11 * time.Hour)) }

// A principal is somebody who calls: each tenth is a user, the others roles.
type principal struct {
	account, arn, name, session string
	user                        bool
}

func (w *world) principal(number int, account string) principal {
	p := principal{account: account, user: number%10 == 9, session: fmt.Sprintf("i-%08x", number*2654435761)}
	if p.user {
		p.name = fmt.Sprintf("person-%05d", number)
		p.arn = "arn:aws:iam::" + account + ":user/" + p.name
		return p
	}
	p.name = fmt.Sprintf("app-%05d", number)
	p.arn = "arn:aws:iam::" + account + ":role/team/" + p.name
	return p
}

// access returns the counts of a principal's use of a secret.
func (w *world) access(s secret, number int, p principal) *Access {
	at := pair{s.number, number}
	a, ok := w.counts[at]
	if !ok {
		a = &Access{Secret: s.arn, Principal: p.arn, Versions: make(map[string]int)}
		w.counts[at] = a
	}
	return a
}

// free returns the next time of a principal and a secret, from one on, that no
// other read of theirs is near.
func (w *world) free(p pair, at time.Time) time.Time {
	for i := at.Unix() / slot; ; i-- {
		if m := (moment{p, i}); !w.taken[m] {
			w.taken[m] = true
			return time.Unix(i*slot+4+w.rand.Int64N(8), 0).UTC()
		}
	}
}

func digest(kind string, numbers ...int) []byte {
	h := fnv.New128a()
	_, _ = h.Write([]byte(kind))
	var buf [8]byte
	for _, n := range numbers {
		binary.LittleEndian.PutUint64(buf[:], uint64(n)) //nolint:gosec // never negative.
		_, _ = h.Write(buf[:])
	}
	return h.Sum(nil)
}

func uuid(kind string, numbers ...int) string { return dashed(digest(kind, numbers...)) }

// id is a new random id.
func (w *world) id() string {
	var raw [16]byte
	binary.LittleEndian.PutUint64(raw[:], w.rand.Uint64())
	binary.LittleEndian.PutUint64(raw[8:], w.rand.Uint64())
	return dashed(raw[:])
}

func dashed(raw []byte) string {
	h := hex.EncodeToString(raw)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:32]
}
