package invalidation

import (
	"context"
	"encoding/json"
	"io"
	"reflect"
)

// streaming reports whether next is a function that answers with a reader,
// which the runtime streams.
func streaming(next any) (reflect.Value, bool) {
	fn := reflect.ValueOf(next)
	if !fn.IsValid() || fn.Kind() != reflect.Func || fn.Type().NumOut() != 2 || fn.Type().NumIn() > 2 {
		return fn, false
	}
	isError := fn.Type().Out(1).Implements(reflect.TypeFor[error]())
	isContext := fn.Type().NumIn() < 2 || fn.Type().In(0) == reflect.TypeFor[context.Context]()
	return fn, isError && isContext && fn.Type().Out(0).Implements(reflect.TypeFor[io.Reader]())
}

// stream is the middleware around a function that answers with a reader. The
// reader goes to the runtime as it came, so that what it tells of itself, such
// as its content type, is heard.
func (m *middleware) stream(fn reflect.Value) func(context.Context, json.RawMessage) (any, error) {
	return func(ctx context.Context, payload json.RawMessage) (any, error) {
		v := m.enter(ctx, payload)
		if v.consumed {
			answer, err := v.answer(ctx)
			return json.RawMessage(answer), err
		}
		args, err := arguments(ctx, fn.Type(), v.payload)
		if err != nil {
			return nil, err
		}
		out := fn.Call(args)
		v.leave(ctx)
		if err, failed := reflect.TypeAssert[error](out[1]); failed {
			return nil, err
		}
		return out[0].Interface(), nil
	}
}

// arguments are those of a function of a type: the context, the event, both, or
// none.
func arguments(ctx context.Context, fn reflect.Type, payload []byte) ([]reflect.Value, error) {
	args := make([]reflect.Value, fn.NumIn())
	for i := range args {
		if fn.In(i) == reflect.TypeFor[context.Context]() {
			args[i] = reflect.ValueOf(ctx)
			continue
		}
		event := reflect.New(fn.In(i))
		if err := json.Unmarshal(payload, event.Interface()); err != nil {
			return nil, err
		}
		args[i] = event.Elem()
	}
	return args, nil
}
