package secrets

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// locked is what AWS's caching clients are like, for comparison: a list of
// what was used last behind a lock, and a lock for each secret that is held
// while the value is read again.
type locked struct {
	api SecretsManager
	ttl time.Duration

	mu    sync.Mutex
	items map[string]*list.Element
	used  *list.List
}

type lockedItem struct {
	mu    sync.Mutex
	value string
	until time.Time
}

func newLocked(api SecretsManager, ttl time.Duration) *locked {
	return &locked{api: api, ttl: ttl, items: make(map[string]*list.Element), used: list.New()}
}

func (l *locked) get(ctx context.Context, id string) (string, error) {
	i := l.item(id)
	i.mu.Lock()
	defer i.mu.Unlock()
	if time.Now().Before(i.until) {
		return i.value, nil
	}
	out, err := l.api.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(id)})
	if err != nil {
		return "", err
	}
	i.value, i.until = aws.ToString(out.SecretString), time.Now().Add(l.ttl)
	return i.value, nil
}

func (l *locked) item(id string) *lockedItem {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.items[id]
	if !ok {
		at = l.used.PushFront(new(lockedItem))
		l.items[id] = at
	}
	l.used.MoveToFront(at)
	return at.Value.(*lockedItem)
}

// expire has all values run out. Nobody reads meanwhile.
func (l *locked) expire() {
	for _, at := range l.items {
		at.Value.(*lockedItem).until = time.Time{}
	}
}
