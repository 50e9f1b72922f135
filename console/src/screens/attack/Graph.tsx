import { Background, Controls, Handle, MarkerType, Position, ReactFlow, useReactFlow, type Edge as FlowEdge, type Node as FlowNode, type NodeProps } from '@xyflow/react'
import '@xyflow/react/dist/style.css'
import { useEffect, useMemo } from 'react'
import { useTranslation } from 'react-i18next'

import css from './Graph.module.css'
import { place, size } from './layout'
import type { Edge, Node } from './model'

type Props = {
  nodes: Node[]
  edges: Edge[]
  lit: Set<string> // edges that stand out; none: all do
  cut: Set<string> // edges that the chosen cut ends
  chosen?: string
  choose: (node: string | undefined) => void
}

type State = FlowNode<{ node: Node; faded: boolean }, 'state'>

// StateNode is one thing that an attacker reaches: its kind in words, its name, where it is.
function StateNode({ data, selected }: NodeProps<State>) {
  const { t } = useTranslation('attack')
  const { node, faded } = data
  return (
    <div className={`${css.node} ${css[node.kind] ?? ''} ${node.goal ? css.goal : ''} ${faded ? css.faded : ''} ${selected ? css.chosen : ''}`}>
      <Handle type="target" position={Position.Top} isConnectable={false} className={css.handle} />
      <span className={css.kind}>{t(`kind.${node.kind}`)}</span>
      <span className={css.label} title={node.label}>
        {node.label}
      </span>
      {node.namespace && <span className={css.where}>{node.namespace}</span>}
      <Handle type="source" position={Position.Bottom} isConnectable={false} className={css.handle} />
    </div>
  )
}

const kinds = { state: StateNode }

// Focus moves the view to what stands out, so that it can be read.
function Focus({ ids }: { ids: string[] }) {
  const { fitView } = useReactFlow()
  const wanted = ids.join()
  useEffect(() => {
    void fitView({ nodes: wanted ? wanted.split(',').map((id) => ({ id })) : undefined, padding: 0.06, maxZoom: 1, duration: 160 })
  }, [fitView, wanted])
  return null
}

// Graph draws the paths. What it shows stands in the list too, which is the way for screen readers.
export default function Graph({ nodes, edges, lit, cut, chosen, choose }: Props) {
  const { t } = useTranslation('attack')
  const placed = useMemo(() => place(nodes, edges, lit), [nodes, edges, lit])
  const shown = useMemo(() => {
    const ends = new Set(edges.filter((e) => lit.size === 0 || lit.has(e.id)).flatMap((e) => [e.from, e.to]))
    const states: State[] = placed.map(({ node, x, y }) => ({
      id: node.id,
      type: 'state',
      position: { x, y },
      width: size.width,
      height: size.height,
      selected: node.id === chosen,
      ariaLabel: `${t(`kind.${node.kind}`)}: ${node.label}${node.namespace ? ` (${node.namespace})` : ''}`,
      data: { node, faded: !ends.has(node.id) },
    }))
    const arrows: FlowEdge[] = edges.map((e) => {
      const faded = lit.size > 0 && !lit.has(e.id)
      const ends = cut.has(e.id)
      const stroke = ends ? 'var(--good)' : faded ? 'var(--line)' : 'var(--critical)'
      return {
        id: e.id,
        source: e.from,
        target: e.to,
        label: faded ? undefined : t(`step.${e.kind}`),
        focusable: false,
        style: { stroke, strokeWidth: faded ? 1 : 1.6, strokeDasharray: ends ? '5 4' : undefined },
        labelStyle: { fill: 'var(--text)', fontSize: 11 },
        labelBgStyle: { fill: 'var(--panel)' },
        markerEnd: { type: MarkerType.ArrowClosed, color: stroke },
      }
    })
    return { states, arrows, focus: lit.size > 0 ? [...ends].sort() : [] }
  }, [placed, edges, lit, cut, chosen, t])
  return (
    <div className={css.graph} role="group" aria-label={t('graph')}>
      <ReactFlow
        key={placed.map((p) => p.node.id).join()}
        nodes={shown.states}
        edges={shown.arrows}
        nodeTypes={kinds}
        fitView
        fitViewOptions={{ padding: 0.06, maxZoom: 1, nodes: shown.focus.length > 0 ? shown.focus.map((id) => ({ id })) : undefined }}
        minZoom={0.1}
        maxZoom={1.8}
        nodesDraggable={false}
        nodesConnectable={false}
        edgesFocusable={false}
        deleteKeyCode={null}
        onNodeClick={(_, n) => choose(n.id === chosen ? undefined : n.id)}
        onNodesChange={(changes) => {
          // Enter and space choose with the keyboard.
          for (const c of changes) if (c.type === 'select' && c.selected && c.id !== chosen) choose(c.id)
        }}
        onPaneClick={() => choose(undefined)}
        proOptions={{ hideAttribution: true }}
        ariaLabelConfig={{
          'node.a11yDescription.default': t('nodeHint'),
          'node.a11yDescription.keyboardDisabled': t('nodeHint'),
          'controls.ariaLabel': t('controls'),
          'controls.zoomIn.ariaLabel': t('zoomIn'),
          'controls.zoomOut.ariaLabel': t('zoomOut'),
          'controls.fitView.ariaLabel': t('fit'),
        }}
      >
        <Background gap={20} size={1} color="var(--line)" />
        <Controls showInteractive={false} fitViewOptions={{ padding: 0.06, maxZoom: 1 }} />
        <Focus ids={shown.focus} />
      </ReactFlow>
    </div>
  )
}
