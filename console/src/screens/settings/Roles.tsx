import { CheckOutlined } from '@ant-design/icons'
import { useTranslation } from 'react-i18next'

import { actions, useActionName } from './actions'
import css from './Settings.module.css'
import { rolesThat } from '../../app/session'
import { Panel } from '../../parts/Page'

const roles = ['administrator', 'approver', 'operator', 'auditor', 'viewer'] as const

// Roles shows what each role may do. The roles are fixed; where somebody has one is set with the user.
export default function Roles() {
  const { t } = useTranslation(['settings', 'words'])
  const name = useActionName()
  return (
    <Panel title={t('settings:roles.title')}>
      <div className={css.scroll} tabIndex={0} role="group" aria-label={t('settings:roles.title')}>
        <table className={css.table}>
          <thead>
            <tr>
              <th scope="col">{t('settings:roles.may')}</th>
              {roles.map((r) => (
                <th key={r} scope="col" className={css.center}>
                  {t(`words:role.${r}`)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {actions.map((a) => (
              <tr key={a}>
                <th scope="row">{name(a)}</th>
                {roles.map((r) => (
                  <td key={r} className={css.center}>
                    {rolesThat(a).includes(r) ? <CheckOutlined className={css.ok} aria-label={t('settings:yes')} role="img" /> : <span className="unseen">{t('settings:no')}</span>}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className="text-soft">{t('settings:roles.note')}</p>
    </Panel>
  )
}
