import hooks from 'eslint-plugin-react-hooks'
import ts from 'typescript-eslint'

export default ts.config(...ts.configs.recommended, hooks.configs.flat['recommended-latest'], {
  ignores: ['dist', 'src/api/schema.d.ts'],
})
