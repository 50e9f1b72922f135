package suse

import (
	"strings"
	"testing"
)

func TestProduct(t *testing.T) {
	for _, c := range []struct{ name, streams, subscription string }{
		{"SUSE Linux Enterprise Server 12 SP5", "sles 12.5", ""},
		{"SUSE Linux Enterprise Server 15", "sles 15", ""},
		{"SUSE Linux Enterprise Server 15 SP1-LTSS", "sles 15.1", "LTSS"},
		{"SUSE Linux Enterprise Server 15-LTSS", "sles 15", "LTSS"},
		{"SUSE Linux Enterprise Server 12 SP3-ESPOS", "sles 12.3", "ESPOS"},
		{"SUSE Linux Enterprise Server 12 SP2-BCL", "sles 12.2", "BCL"},
		{"SUSE Linux Enterprise Server 11 SP1-TERADATA", "sles 11.1", "TERADATA"},
		{"SUSE Linux Enterprise Server LTSS Extended Security 12 SP5", "sles 12.5", "LTSS"},
		{"SUSE Linux Enterprise Server for SAP Applications 15 SP2", "sles 15.2", "SAP"},
		{"SUSE Linux Enterprise Server 16.0", "sles 16.0", ""},
		{"SUSE Linux Enterprise Module for Basesystem 15 SP4", "sles 15.4", ""},
		{"SUSE Linux Enterprise Module for Legacy Software 12", "sles 12,sles 12.1,sles 12.2,sles 12.3,sles 12.4,sles 12.5", ""},
		{"SUSE Linux Enterprise Software Development Kit 12 SP5", "sles 12.5", ""},
		{"SUSE Linux Enterprise Live Patching 15 SP3", "sles 15.3", ""},
		{"SUSE Package Hub 15 SP4", "sles 15.4", ""},
		{"openSUSE Leap 15.2", "opensuse 15.2", ""},
		{"openSUSE 13.2 NonFree", "opensuse 13.2", ""},
		{"openSUSE Tumbleweed", "opensuse tumbleweed", ""},
		{"SUSE Linux Enterprise Desktop 15 SP3", "", ""},
		{"SUSE Linux Enterprise High Performance Computing 15 SP1-LTSS", "", ""},
		{"SUSE Linux Enterprise Micro 5.1", "", ""},
		{"openSUSE Leap Micro 5.2", "", ""},
		{"SUSE Manager Server 4.3", "", ""},
		{"Container suse/sle15:15.1", "", ""},
	} {
		streams, subscription, ok := Product(c.name)
		if strings.Join(streams, ",") != c.streams || subscription != c.subscription || ok != (c.streams != "") {
			t.Errorf("Product(%q) = %q, %q, %v", c.name, streams, subscription, ok)
		}
	}
}
