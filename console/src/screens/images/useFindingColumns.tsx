import { Link } from '@tanstack/react-router'
import { Tooltip } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './images.module.css'
import type { ImageFinding } from './model'
import { Origin } from './Origin'
import type { Column } from '../../parts/DataTable'
import { SeverityTag } from '../../parts/Severity'
import { useFormat } from '../../text/format'

// useFindingColumns are the columns of an image's risks: vulnerabilities have a package and scores, lists of several kinds name the kind.
export function useFindingColumns(packages: boolean, kinds: boolean): Column<ImageFinding>[] {
  const { t } = useTranslation(['images', 'words'])
  const { number, percent } = useFormat()
  const columns: Column<ImageFinding>[] = [
    { key: 'severity', title: t('findings.severity'), width: 90, sort: 'severity', down: true, render: (row) => <SeverityTag severity={row.severity} /> },
    {
      key: 'risk',
      title: t('findings.risk'),
      width: 320,
      sort: 'rule',
      render: (row) => (
        <div className={css.two}>
          <Link to="/findings/$id" params={{ id: row.id }} title={row.title}>
            {row.title}
          </Link>
          <span className={css.soft}>
            {row.kev && <span className={css.kev}>{t('findings.kevYes')} · </span>}
            {row.rule}
          </span>
        </div>
      ),
    },
  ]
  if (packages)
    columns.push(
      {
        key: 'package',
        title: t('findings.package'),
        width: 200,
        sort: 'package',
        render: (row) => (
          <div className={css.two}>
            <span title={row.package}>{row.package ?? '–'}</span>
            <code className={css.soft}>{row.version}</code>
          </div>
        ),
      },
      { key: 'fixed', title: t('findings.fixed'), width: 150, render: (row) => (row.fixedVersion ? <code title={row.fixedVersion}>{row.fixedVersion}</code> : <span className={css.soft}>{t('findings.noFix')}</span>) },
    )
  if (kinds || !packages) columns.push({ key: 'kind', title: t('findings.kind'), width: 170, hidden: kinds, render: (row) => t(`words:kindOne.${row.kind as 'secret'}`) })
  columns.push({ key: 'layer', title: t('findings.layer'), width: 100, sort: 'layer', render: (row) => <Origin base={row.base} layer={row.layer} /> })
  columns.push({ key: 'path', title: t('findings.path'), width: 220, hidden: packages, render: (row) => (row.path ? <code title={row.path}>{row.path}</code> : '–') })
  if (packages)
    columns.push(
      {
        key: 'epss',
        title: t('findings.epss'),
        width: 80,
        sort: 'epss',
        down: true,
        align: 'right',
        render: (row) => (row.epss === undefined ? '–' : <Tooltip title={t('findings.epssHint')}>{percent(row.epss)}</Tooltip>),
      },
      { key: 'cvss', title: t('findings.cvss'), width: 70, sort: 'cvss', down: true, align: 'right', render: (row) => (row.cvss === undefined ? '–' : number(row.cvss, { minimumFractionDigits: 1 })) },
    )
  return columns
}
