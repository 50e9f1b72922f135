import { useTranslation } from 'react-i18next'

import { classes, classOf, type Full } from './shapes'
import blocks from '../../parts/Blocks.module.css'
import { Panel } from '../../parts/Page'
import { Table } from '../nodes/Table'

// Checks are how an emergency is verified: versions first, then these, and how much each touches.
export default function Checks({ emergency: e }: { emergency: Full }) {
  const { t } = useTranslation('emergencies')
  return (
    <div className={blocks.stack}>
      <p className="text-soft">{t('checksLead')}</p>
      <Table
        label={t('tabs.checks')}
        head={[t('says'), t('checkRole'), t('classOf'), t('where'), t('check')]}
        none={t('noSteps')}
        rows={e.checks.map((c, i) => {
          const known = classOf(c.class)
          return {
            key: `${i}-${c.check}`,
            cells: [
              c.says,
              t(`role.${c.role}`),
              known ? t(`class.${known}`) : c.class || '–',
              c.where.length === 0 ? t('everywhere') : c.where.map((w) => (w === 'node' || w === 'image' || w === 'cluster' ? t(`kindOne.${w}`) : w)).join(', '),
              <code key="c">{c.check}</code>,
            ],
          }
        })}
      />
      <Panel title={t('classes')}>
        <dl>
          {classes.map((c) => (
            <div key={c}>
              <dt>
                <strong>{t(`class.${c}`)}</strong>
              </dt>
              <dd className="text-soft">{t(`classHint.${c}`)}</dd>
            </div>
          ))}
        </dl>
      </Panel>
    </div>
  )
}
