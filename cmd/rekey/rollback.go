package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/internal/supply"
)

func (a *app) rollbackCommand() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "rollback NAME",
		Short: "Make the previous value current again, through set and test",
		Long: `Make the value of AWSPREVIOUS current again. It goes through set, test and
finish like any other: it becomes current only if the target accepts it. Your
permissions need not let you read it.`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := a.config(cmd.Context())
			if err != nil {
				return err
			}
			result, err := a.rollback(cmd.Context(), cfg, args[0], timeout)
			if err != nil {
				return err
			}
			return a.data(result, func(w io.Writer) {
				fmt.Fprintf(w, "%s rolled back in %.2f s, version %s is current\n", result.Name, result.Seconds, result.VersionID)
			})
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait")
	return cmd
}

// rollback supplies the previous version to a rotation of its own.
func (a *app) rollback(ctx context.Context, cfg aws.Config, name string, timeout time.Duration) (rotateResult, error) {
	client := secretsmanager.NewFromConfig(cfg)
	about, err := client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: new(a.secretID(name))})
	if err != nil {
		return rotateResult{}, err
	}
	result := rotateResult{Name: a.logical(aws.ToString(about.Name)), ARN: aws.ToString(about.ARN), Status: "finished"}
	began := time.Now()
	result.VersionID, err = supply.Previous(ctx, client, about, "")
	switch {
	case errors.Is(err, supply.ErrNoPrevious):
		return result, withHint(fmt.Errorf("%s has no version with AWSPREVIOUS to go back to", result.Name), "rekey status "+result.Name+" shows what there is")
	case errors.Is(err, supply.ErrNoRotation):
		return result, withHint(fmt.Errorf("%s has no rotation that could set and test the previous value", result.Name),
			"store the value again: rekey put "+result.Name)
	case err != nil:
		return result, err
	}
	if err := a.follow(ctx, client, cloudtrail.NewFromConfig(cfg), result, began, timeout); err != nil {
		return result, err
	}
	result.Seconds = time.Since(began).Seconds()
	return result, nil
}
