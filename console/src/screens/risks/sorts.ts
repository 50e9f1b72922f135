// In the API's lists of risks and assets some orders begin with the largest when they are named plainly; a table shows that as
// descending.
const largestFirst = ['severity', 'active', 'targets', 'score']

// flipped turns the order of such a list into the table's, and back.
export function flipped(sort: string): string {
  const name = sort.replace(/^-/, '')
  if (!largestFirst.includes(name)) return sort
  return sort.startsWith('-') ? name : `-${name}`
}
