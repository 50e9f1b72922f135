package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/notify"
	"stockade.dev/stockade/internal/store"
)

// notifyError gives what notifications refuse their statuses.
func notifyError(err error) error {
	switch {
	case errors.Is(err, notify.ErrInvalid):
		return huma.Error422UnprocessableEntity(strings.TrimPrefix(err.Error(), notify.ErrInvalid.Error()+": "))
	case errors.Is(err, notify.ErrForbidden):
		return huma.Error403Forbidden(strings.TrimPrefix(err.Error(), notify.ErrForbidden.Error()+": "))
	}
	return err
}

// everywhere refuses who may do an action in some places only: channels are the whole server's.
func everywhere(ctx context.Context, actions ...identity.Action) error {
	for _, a := range actions {
		if !identity.From(ctx).Can(a, 0, "") {
			return fmt.Errorf("%w: notifications are the whole server's: it needs a role for all clusters", ErrForbidden)
		}
	}
	return nil
}

// shown is a channel as the principal of ctx may see it: whole for who may change settings, how it does for who manages schedules
// everywhere, and for others only what reports can use, by name. nil when nothing of it.
func shown(ctx context.Context, c *notify.Channel) *notify.Channel {
	p := identity.From(ctx)
	switch {
	case p.Can(identity.ManageSettings, 0, ""):
		return c
	case p.Can(identity.ManageSchedules, 0, ""):
		out := *c
		out.Settings, out.Filter, out.Secrets = nil, nil, nil
		return &out
	case c.Shared:
		return &notify.Channel{ID: c.ID, Name: c.Name, Kind: c.Kind, Language: c.Language, Enabled: c.Enabled, Shared: true}
	}
	return nil
}

// deliveryList is the input of the log of deliveries.
type deliveryList struct {
	Paging
	Channel int64  `query:"channel" minimum:"0" doc:"id of a channel"`
	State   string `query:"state" enum:"gathered,waiting,sent,dead,digested"`
}

// channelChange is the input that changes a channel.
type channelChange struct {
	ByID
	Body notify.ChannelInput
}

// channelBody is a channel as people give it.
type channelBody struct{ Body notify.ChannelInput }

// Notifications adds the routes of channels and of what was sent through them.
func Notifications(a *API, n *notify.Notifier) {
	const tag = "Notifications"
	Add(a, Route{Method: http.MethodGet, Path: "/channels", ID: "list-channels", Tag: tag, Action: identity.ManageSchedules, Summary: "List channels",
		Description: "Without a role for all clusters only channels that reports can use, by name."},
		func(ctx context.Context, _ *struct{}) (*List[*notify.Channel], error) {
			all, err := n.Channels(ctx)
			var list []*notify.Channel
			for _, c := range all {
				if c = shown(ctx, c); c != nil {
					list = append(list, c)
				}
			}
			return Listed(list, ""), notifyError(err)
		})
	Add(a, Route{Method: http.MethodPost, Path: "/channels", ID: "add-channel", Tag: tag, Action: identity.ManageSettings, Status: http.StatusCreated, Summary: "Add a channel"},
		func(ctx context.Context, in *channelBody) (*One[*notify.Channel], error) {
			if err := everywhere(ctx, identity.ManageSettings); err != nil {
				return nil, err
			}
			c, err := n.AddChannel(ctx, in.Body)
			return &One[*notify.Channel]{c}, notifyError(err)
		})
	Add(a, Route{Method: http.MethodPost, Path: "/channels/preview", ID: "preview-channel", Tag: tag, Action: identity.ManageSettings, Summary: "Show what a channel would send",
		Description: "For settings that need not be saved. Nothing is sent; errors of a template are told."},
		func(ctx context.Context, in *channelBody) (*One[*notify.Preview], error) {
			if err := everywhere(ctx, identity.ManageSettings); err != nil {
				return nil, err
			}
			p, err := n.Preview(in.Body)
			return &One[*notify.Preview]{p}, notifyError(err)
		})
	Add(a, Route{Method: http.MethodGet, Path: "/channels/{id}", ID: "get-channel", Tag: tag, Action: identity.ManageSchedules, Summary: "Show a channel"},
		func(ctx context.Context, in *ByID) (*One[*notify.Channel], error) {
			c, err := n.Channel(ctx, in.ID)
			if err != nil {
				return nil, notifyError(err)
			}
			if c = shown(ctx, c); c == nil {
				return nil, store.ErrNotFound
			}
			return &One[*notify.Channel]{c}, nil
		})
	Add(a, Route{Method: http.MethodPut, Path: "/channels/{id}", ID: "change-channel", Tag: tag, Action: identity.ManageSettings, Summary: "Change a channel",
		Description: "Secrets that are left out stay as they are, unless messages would go to another place."},
		func(ctx context.Context, in *channelChange) (*One[*notify.Channel], error) {
			if err := everywhere(ctx, identity.ManageSettings); err != nil {
				return nil, err
			}
			c, err := n.ChangeChannel(ctx, in.ID, in.Body)
			return &One[*notify.Channel]{c}, notifyError(err)
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/channels/{id}", ID: "remove-channel", Tag: tag, Action: identity.ManageSettings, Summary: "Remove a channel and its log"},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			if err := everywhere(ctx, identity.ManageSettings); err != nil {
				return nil, err
			}
			return nil, notifyError(n.RemoveChannel(ctx, in.ID))
		})
	Add(a, Route{Method: http.MethodPost, Path: "/channels/{id}/test", ID: "test-channel", Tag: tag, Action: identity.ManageSettings, Summary: "Send a test message",
		Description: "Gives back what the receiver answers, without secrets."},
		func(ctx context.Context, in *ByID) (*One[*notify.Tested], error) {
			if err := everywhere(ctx, identity.ManageSettings); err != nil {
				return nil, err
			}
			t, err := n.Test(ctx, in.ID)
			return &One[*notify.Tested]{t}, notifyError(err)
		})
	Add(a, Route{Method: http.MethodGet, Path: "/deliveries", ID: "list-deliveries", Tag: tag, Action: identity.ManageSchedules, Summary: "What was sent, newest first"},
		func(ctx context.Context, in *deliveryList) (*List[*notify.Delivery], error) {
			if err := everywhere(ctx, identity.ManageSchedules, identity.Read); err != nil {
				return nil, err
			}
			list, next, err := n.Deliveries(ctx, notify.DeliveryFilter{Channel: in.Channel, State: in.State}, in.Page())
			return Listed(list, next), notifyError(err)
		})
	Add(a, Route{Method: http.MethodPost, Path: "/deliveries/{id}/retry", ID: "retry-delivery", Tag: tag, Action: identity.ManageSettings, Summary: "Send a message again",
		Description: "One that was given up, or that waits for its next attempt. Receivers see the same event id."},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			if err := everywhere(ctx, identity.ManageSettings); err != nil {
				return nil, err
			}
			return nil, notifyError(n.Retry(ctx, in.ID))
		})
}
