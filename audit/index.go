package audit

import "hash/maphash"

// An index finds facts by their ids. It has no ids of its own, but the numbers
// of the facts that have them, so that it takes six to eleven bytes for each.
// Make it with newIndex.
type index struct {
	seed  maphash.Seed
	slots []int32 // numbers of facts, one more than they are; zero: free
	n     int
}

func newIndex() index { return index{seed: maphash.MakeSeed()} }

// find returns the number of the fact with an id.
func (x *index) find(l *facts, id eventID) (int32, bool) {
	if x.n == 0 {
		return 0, false
	}
	for i := x.slot(id); x.slots[i] != 0; i = (i + 1) % len(x.slots) {
		if at := x.slots[i] - 1; l.at(at).id == id {
			return at, true
		}
	}
	return 0, false
}

// add takes up a fact whose id is not there.
func (x *index) add(l *facts, at int32) {
	if x.n*3 >= len(x.slots)*2 {
		known := x.slots
		x.slots = make([]int32, max(1024, 2*len(known)))
		for _, one := range known {
			if one != 0 {
				x.put(l, one)
			}
		}
	}
	x.put(l, at+1)
	x.n++
}

func (x *index) put(l *facts, one int32) {
	i := x.slot(l.at(one - 1).id)
	for x.slots[i] != 0 {
		i = (i + 1) % len(x.slots)
	}
	x.slots[i] = one
}

// slot is where the search for an id begins. Who writes records may choose the
// ids, but not the seed.
func (x *index) slot(id eventID) int {
	return int(maphash.Bytes(x.seed, id[:]) % uint64(len(x.slots))) //nolint:gosec // less than the number of slots.
}
