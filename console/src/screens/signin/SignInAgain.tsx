import { Modal } from 'antd'
import { useTranslation } from 'react-i18next'

import { CredentialsForm } from './CredentialsForm'
import { renewal } from '../../app/renewal'

// SignInAgain stands over a page whose session ended. What was typed stays, and what was being sent is sent again.
export default function SignInAgain({ name }: { name: string }) {
  const { t } = useTranslation('signin')
  return (
    <Modal open title={t('again')} footer={null} closable={false} mask={{ closable: false }} keyboard={false}>
      <p>{t('againHint')}</p>
      <CredentialsForm name={name} onDone={() => renewal.done()} />
      <p>
        <a href={'/sign-in?next=' + encodeURIComponent(location.pathname + location.search)}>{t('other')}</a>
      </p>
    </Modal>
  )
}
