import blocks from '../../parts/Blocks.module.css'

// WithHash is a file with what its bytes are.
export function WithHash({ path, sha256 }: { path: string; sha256?: string }) {
  return (
    <div>
      <code>{path}</code>
      {sha256 && (
        <div className={blocks.hint}>
          <code>sha256:{sha256}</code>
        </div>
      )}
    </div>
  )
}
