package finding

// Asset is something that a scan looked at, whether anything was found on it or not: what is not among the assets of a full scan
// is not there any more.
type Asset struct {
	Kind      string // cluster, namespace, workload, image, node, object, file; or rule: see Unread
	GroupKind string // of workloads and objects: "Deployment.apps"
	Namespace string //
	Name      string // of images the reference, of files the path
	Digest    string // of images, "" when unknown; the one in the findings on it
	// Labels of the pods of a workload. The server keeps them in assets.labels as JSON, where exceptions with a label selector
	// look them up.
	Labels map[string]string
	Runs   []ImageRef // of workloads: the images of their containers, by the references and digests of the image assets
	// Unread says why it could not be looked into; "" when it was. What was found on it before is not fixed, only old. An object
	// without a name stands for its whole kind, a cluster for all that is not among the assets (its source broke off), and an
	// asset of kind rule for what that rule would have found.
	Unread string
}

// ImageRef names an image in use.
type ImageRef struct{ Reference, Digest string }

// AssetHandler is a Handler that wants to know what was looked at. Assets come before End.
type AssetHandler interface {
	Handler
	Asset(Asset) error
}
