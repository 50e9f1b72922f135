// Colours of both themes. Text on tags, titles and placeholders has a contrast of 4.5:1 and more, which the library's own has not.
import { theme, type ThemeConfig } from 'antd'

export type Mode = 'light' | 'dark'

export function themeOf(mode: Mode): ThemeConfig {
  const dark = mode === 'dark'
  return {
    algorithm: dark ? theme.darkAlgorithm : theme.defaultAlgorithm,
    token: {
      colorPrimary: dark ? '#2dd4bf' : '#0f766e',
      colorLink: dark ? '#5eead4' : '#0f6a63',
      colorLinkHover: dark ? '#99f6e4' : '#0a4f4a',
      colorTextLightSolid: dark ? '#06201d' : '#ffffff',
      colorBgLayout: dark ? '#0e1416' : '#f4f6f7',
      colorBgContainer: dark ? '#161d20' : '#ffffff',
      colorBgElevated: dark ? '#1c2529' : '#ffffff',
      colorText: dark ? '#e6edef' : '#17242a',
      colorTextSecondary: dark ? '#b1c0c5' : '#4a5a61',
      colorTextTertiary: dark ? '#9dafb5' : '#56666d',
      colorTextDescription: dark ? '#a9b8bd' : '#52636a',
      colorTextPlaceholder: dark ? '#93a5ab' : '#5f7078',
      colorTextDisabled: dark ? '#8b9ba1' : '#6b7a81',
      colorBorder: dark ? '#4b5c63' : '#8a999f',
      colorBorderSecondary: dark ? '#2b373c' : '#dfe5e7',
      colorError: dark ? '#ff8a80' : '#b42318',
      colorWarning: dark ? '#f5b041' : '#9a5b00',
      colorSuccess: dark ? '#5cd08d' : '#13703f',
      colorSuccessBg: dark ? '#12341f' : '#e3f6ea', // the library's own is a grey of this green
      borderRadius: 6,
      fontSize: 14,
      fontFamily: 'system-ui, -apple-system, "Segoe UI", "Noto Sans CJK SC", "Noto Sans SC", "PingFang SC", "Microsoft YaHei", sans-serif',
      fontFamilyCode: 'ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", "Noto Sans Mono CJK SC", monospace',
      motionDurationMid: '0.12s',
      motionDurationSlow: '0.16s',
    },
    components: {
      Layout: { siderBg: dark ? '#10181b' : '#10262b', headerBg: dark ? '#161d20' : '#ffffff' },
      Menu: { darkItemBg: 'transparent', darkItemColor: '#c7d6da', darkItemSelectedBg: '#0f766e', darkItemSelectedColor: '#ffffff' },
    },
  }
}

// variables are the colours that our own styles use; the shell puts them on the page.
export function variablesOf(mode: Mode): Record<string, string> {
  const dark = mode === 'dark'
  return {
    '--text': dark ? '#e6edef' : '#17242a',
    '--text-soft': dark ? '#b1c0c5' : '#4a5a61',
    '--page': dark ? '#0e1416' : '#f4f6f7',
    '--panel': dark ? '#161d20' : '#ffffff',
    '--panel-soft': dark ? '#1d272b' : '#f0f4f5',
    '--line': dark ? '#2b373c' : '#dfe5e7',
    '--accent': dark ? '#5eead4' : '#0f6a63',
    '--mark': dark ? '#4a3310' : '#fff3d6',
    '--mark-line': dark ? '#f5b041' : '#b25e00',
    '--add': dark ? '#12341f' : '#e3f6ea',
    '--remove': dark ? '#3f1a17' : '#fde8e6',
    '--critical': dark ? '#ff9d94' : '#8f1414',
    '--critical-soft': dark ? '#4a1512' : '#fbe3e1',
    '--high': dark ? '#ffb27a' : '#9a3412',
    '--high-soft': dark ? '#43210d' : '#fdeadd',
    '--medium': dark ? '#f3c969' : '#7a5600',
    '--medium-soft': dark ? '#3a2d0a' : '#fbf1d3',
    '--low': dark ? '#8fc3ff' : '#1d5191',
    '--low-soft': dark ? '#12294a' : '#e4effb',
    '--info': dark ? '#b1c0c5' : '#4a5a61',
    '--info-soft': dark ? '#243036' : '#eaeff1',
    '--good': dark ? '#5cd08d' : '#13703f',
    '--good-soft': dark ? '#12341f' : '#e3f6ea',
  }
}
