import { Form, Input } from 'antd'
import { useTranslation } from 'react-i18next'

// NewPassword are the two fields of a new password.
export function NewPassword() {
  const { t } = useTranslation('signin')
  return (
    <>
      <Form.Item
        label={t('newPassword')}
        name="password"
        extra={t('passwordRule')}
        rules={[
          { required: true, message: t('passwordNeeded') },
          { min: 12, message: t('passwordRule') },
        ]}
      >
        <Input.Password autoComplete="new-password" />
      </Form.Item>
      <Form.Item
        label={t('repeat')}
        name="repeat"
        dependencies={['password']}
        rules={[
          { required: true, message: t('passwordNeeded') },
          ({ getFieldValue }) => ({ validator: (_, value) => (!value || value === getFieldValue('password') ? Promise.resolve() : Promise.reject(new Error(t('notSame')))) }),
        ]}
      >
        <Input.Password autoComplete="new-password" />
      </Form.Item>
    </>
  )
}
