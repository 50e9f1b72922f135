import { Col, Row } from 'antd'
import { useTranslation } from 'react-i18next'

import type { Schemas } from '../../api/client'
import { CodeView } from '../../parts/CodeView'
import { Panel } from '../../parts/Page'

// Examples shows what a rule finds something in, what it accepts, and its expression.
export function Examples({ rule }: { rule: Schemas['RuleFull'] }) {
  const { t } = useTranslation('rules')
  return (
    <>
      {(rule.bad || rule.good) && (
        <Row gutter={[16, 16]}>
          {rule.bad && (
            <Col xs={24} lg={12}>
              <Panel title={t('bad')}>
                <CodeView label={t('bad')} text={rule.bad.text} height={360} />
              </Panel>
            </Col>
          )}
          {rule.good && (
            <Col xs={24} lg={12}>
              <Panel title={t('good')}>
                <CodeView label={t('good')} text={rule.good.text} height={360} />
              </Panel>
            </Col>
          )}
        </Row>
      )}
      {rule.expression && (
        <Panel title={t('expression')}>
          <CodeView label={t('expression')} text={rule.expression} height={240} />
        </Panel>
      )}
    </>
  )
}
