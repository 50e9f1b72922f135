// The component library writes a few style elements (such as the one that stops the page behind a dialog from scrolling) without the
// nonce that the page's policy wants: every style element gets it when it is made.
const nonce = document.querySelector<HTMLMetaElement>('meta[name="style-nonce"]')?.content

if (nonce) {
  const make = document.createElement.bind(document)
  document.createElement = ((name: string, options?: ElementCreationOptions) => {
    const element = make(name, options)
    if (element instanceof HTMLStyleElement) element.nonce = nonce
    return element
  }) as typeof document.createElement
}
