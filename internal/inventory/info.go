package inventory

// ClusterInfo is what a source knows of its cluster beside the objects.
type ClusterInfo struct {
	Name, Version, Distribution string // see Cluster
	Managed                     bool
	Unread                      map[string]string // "Kind.group" -> why it could not be read
}
