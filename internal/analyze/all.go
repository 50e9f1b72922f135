package analyze

import "slices"

// All lists every analyzer. A rule finds its own by name.
var All = slices.Concat(permissionAnalyzers, networkAnalyzers, leakAnalyzers, secretUseAnalyzers, escapeAnalyzers, workloadAnalyzers,
	admissionAnalyzers, tenancyAnalyzers)
