import { useTranslation } from 'react-i18next'

import css from './CodeView.module.css'
import { Copy } from './Copy'

type Props = { label: string; diff: string; height?: number } // diff: a unified diff

const kinds: Record<string, string | undefined> = { '+': css.added, '-': css.removed, '@': css.hunk }

// DiffView shows a unified diff. The signs stay, so that colour is not needed to read it.
export function DiffView({ label, diff, height = 360 }: Props) {
  const { t } = useTranslation('parts')
  const lines = diff.replace(/\n$/, '').split('\n')
  return (
    <div>
      <div className={css.box} style={{ maxHeight: height }} tabIndex={0} role="region" aria-label={label}>
        <table className={css.code} role="presentation">
          <tbody>
            {lines
              .filter((l) => !l.startsWith('--- ') && !l.startsWith('+++ '))
              .map((l, i) => (
                <tr key={i} className={kinds[l.charAt(0)]}>
                  <td className={css.line}>&nbsp;{l}</td>
                </tr>
              ))}
          </tbody>
        </table>
      </div>
      <Copy text={diff} label={t('copyDiff')} />
    </div>
  )
}
