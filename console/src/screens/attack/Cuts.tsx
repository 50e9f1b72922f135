import { ScissorOutlined } from '@ant-design/icons'
import { Button } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './AttackPaths.module.css'
import type { Cut } from './model'
import { Panel } from '../../parts/Page'

type Props = { cuts: Cut[]; several: boolean; targets: Map<string, string>; open?: string; choose: (id: string | undefined) => void }

// Cuts is the advice: the single changes that end the most paths, in the order in which they are best made.
export function Cuts({ cuts, several, targets, open, choose }: Props) {
  const { t } = useTranslation('attack')
  if (cuts.length === 0) return null
  return (
    <Panel title={t('cutHere')}>
      <p className={css.soft}>{t('cutLead')}</p>
      <ol className={css.cuts}>
        {cuts.map((c) => (
          <li key={c.id} className={css.cut}>
            <div className={css.cutHead}>
              <strong>{c.title}</strong>
              <span className={css.gain}>{t('removes', { count: c.removes, of: c.of })}</span>
            </div>
            <div>{c.fix}</div>
            <div className={css.soft}>
              {several && `${targets.get(c.targetId) ?? ''} · `}
              {c.alone !== c.removes && `${t('alone', { count: c.alone })} · `}
              {t('left', { count: c.left })}
            </div>
            <Button size="small" icon={<ScissorOutlined />} aria-pressed={open === c.id} onClick={() => choose(open === c.id ? undefined : c.id)}>
              {open === c.id ? t('hideCut') : t('showCut')}
            </Button>
          </li>
        ))}
      </ol>
    </Panel>
  )
}
