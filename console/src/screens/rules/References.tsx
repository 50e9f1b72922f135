import { safeLink } from './model'

// References lists public pages. What is no address of the web is text.
export function References({ list }: { list: string[] }) {
  return (
    <ul style={{ margin: 0, paddingInlineStart: 20 }}>
      {list.map((address) => {
        const href = safeLink(address)
        return (
          <li key={address} style={{ overflowWrap: 'anywhere', paddingBlock: 3 }}>
            {href ? (
              <a href={href} target="_blank" rel="noreferrer noopener">
                {address}
              </a>
            ) : (
              address
            )}
          </li>
        )
      })}
    </ul>
  )
}
