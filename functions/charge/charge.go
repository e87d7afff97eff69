// Package charge is a sample application: POST /payments/charge charges a card
// with the payment provider's API key and sends a receipt with the mail
// provider's, both from the secret external-api-keys.
//
// The keys are read when they are used. A provider that refuses a key is the
// sign that it was replaced: then the ladder of the secret finds another version
// of it, and the call is made once more.
package charge

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"

	"github.com/rekey-go/rekey/functions/internal/reply"
	"github.com/rekey-go/rekey/runtime/invalidation"
	"github.com/rekey-go/rekey/runtime/secrets"
)

const secretName = "external-api-keys"

// keys is the value of external-api-keys.
type keys struct {
	Stripe   string `json:"stripe"`
	SendGrid string `json:"sendgrid"`
}

// A handler serves POST /payments/charge.
type handler struct {
	keys      *secrets.Ref[keys]
	providers providers
	log       *slog.Logger
}

// request is the body: the amount in dollars, the card's token, and who gets
// the receipt.
type request struct {
	Amount json.Number `json:"amount"`
	Token  string      `json:"token"`
	Email  string      `json:"email"`
}

// defaultEmail gets the receipts of requests that name nobody.
const defaultEmail = "customer@example.com"

// ServeHTTP answers one charge.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var req request
	body := http.MaxBytesReader(w, r.Body, 64<<10)
	if err := json.NewDecoder(body).Decode(&req); err != nil || req.Token == "" {
		reply.JSON(w, http.StatusBadRequest, reply.Failure{Error: "amount and token are required"})
		return
	}
	cents, err := cents(req.Amount.String())
	if err != nil {
		reply.JSON(w, http.StatusBadRequest, reply.Failure{Error: err.Error()})
		return
	}
	if req.Email == "" {
		req.Email = defaultEmail
	}
	paid, err := h.charge(r.Context(), req, cents)
	if err != nil {
		h.log.ErrorContext(r.Context(), "charging", "error", err)
		status, text := http.StatusInternalServerError, "Service temporarily unavailable"
		if errors.Is(err, errDeclined) {
			status, text = http.StatusPaymentRequired, "The card was declined"
		}
		reply.JSON(w, status, reply.Failure{Error: text})
		return
	}
	reply.JSON(w, http.StatusOK, paid)
}

// cents turns dollars into cents without rounding.
func cents(amount string) (int64, error) {
	errAmount := errors.New("amount must be a positive number with at most two decimals")
	dollars, fraction, _ := strings.Cut(amount, ".")
	if len(fraction) > 2 || strings.ContainsAny(amount, "eE+-") {
		return 0, errAmount
	}
	n, err := strconv.ParseInt(dollars+(fraction + "00")[:2], 10, 64)
	if err != nil || n <= 0 {
		return 0, errAmount
	}
	return n, nil
}

// payment is the answer to a charge.
type payment struct {
	ID       string      `json:"id"`
	Status   string      `json:"status"`
	Amount   json.Number `json:"amount"`
	Currency string      `json:"currency"`
	// Receipt says whether the mail was sent. A receipt that cannot be sent
	// does not undo a charge.
	Receipt bool `json:"receipt"`
}

func (h *handler) charge(ctx context.Context, req request, cents int64) (payment, error) {
	paid := payment{Amount: req.Amount, Currency: currency}
	err := h.withKeys(ctx, func(k keys) (err error) {
		paid.ID, paid.Status, err = h.providers.charge(ctx, k.Stripe, cents, req.Token)
		return err
	})
	if err != nil {
		return paid, err
	}
	err = h.withKeys(ctx, func(k keys) error { return h.providers.mail(ctx, k.SendGrid, req.Email, req.Amount.String()) })
	if err != nil {
		h.log.WarnContext(ctx, "sending the receipt", "error", err)
	}
	paid.Receipt = err == nil
	return paid, nil
}

// withKeys calls a provider, and again with another version of the keys if it
// refuses the first.
func (h *handler) withKeys(ctx context.Context, call func(keys) error) error {
	refused := func(err error) bool { return errors.Is(err, errKeyRefused) }
	return secrets.Use(ctx, h.keys, refused, func(_ context.Context, k keys) error { return call(k) })
}

// New returns the function. It reads REKEY_STRIPE_URL and REKEY_SENDGRID_URL,
// the providers' addresses, beside the variables of [secrets.FromEnv].
func New(cfg aws.Config, getenv func(string) string) (lambda.Handler, error) {
	client, err := secrets.FromEnv(cfg, getenv)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /payments/charge", &handler{
		keys:      secrets.Bind[keys](client, secretName),
		providers: newProviders(getenv("REKEY_STRIPE_URL"), getenv("REKEY_SENDGRID_URL")),
		log:       slog.New(slog.NewJSONHandler(os.Stdout, nil)),
	})
	return invalidation.Handler(client, httpadapter.NewV2(mux).ProxyWithContext), nil
}
