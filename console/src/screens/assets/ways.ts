export const ways = ['kubeconfig', 'connector', 'in-cluster', 'demo'] as const
export type Way = (typeof ways)[number]

// wayOf reads how a cluster is to be added from the URL.
export function wayOf(text: string | undefined): Way | undefined {
  return ways.find((w) => w === text)
}
