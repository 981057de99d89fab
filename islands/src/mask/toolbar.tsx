/** The easel's tools as buttons. */
import { Icon, type IconName } from "../icons";
import { say } from "../page";
import { decoded } from "../pictures";
import { Slider } from "../slider";
import type { Painting } from "./painting";
import { perform, type Action, type Tools } from "./tools";

interface Props {
  painting: Painting;
  tools: Tools;
}

export function Toolbar({ painting, tools }: Props) {
  painting.version.value; // undo and redo depend on it
  const act = (action: Action) => () => perform(action, tools, painting);
  return (
    <div class="toolbar" role="toolbar" aria-label={say("mask_tools")}>
      <span class="pair">
        <Tool icon="brush" text={say("brush")} keys="B" isOn={!tools.erases.value} act={act("brush")} />
        <Tool icon="eraser" text={say("eraser")} keys="E" isOn={tools.erases.value} act={act("eraser")} />
      </span>
      <span class="brush-size">
        <Slider
          label={say("brush_size")}
          title={`${say("brush_size")} [ ]`}
          min={0}
          max={100}
          step={1}
          value={Math.round(tools.position.value)}
          valueText={say("pixels", { count: Math.round(tools.diameter(painting)) })}
          onSlide={(position) => tools.place(position)}
        />
      </span>
      <span class="pair">
        <Tool icon="undo" text={say("undo")} keys="Ctrl+Z" isOff={!painting.canUndo} act={act("undo")} />
        <Tool icon="redo" text={say("redo")} keys="Ctrl+Shift+Z" isOff={!painting.canRedo} act={act("redo")} />
      </span>
      <span class="pair">
        <Tool icon="invert" text={say("invert")} keys="I" act={act("invert")} />
        <Tool icon="trash" text={say("clear")} keys="Delete" isOff={painting.isEmpty.value} act={act("clear")} />
        <label class="button quiet icon file" title={say("load_mask")}>
          <Icon name="upload" />
          <input
            type="file"
            class="hidden-text"
            accept="image/*"
            aria-label={say("load_mask")}
            onChange={(event) => {
              const [file] = event.currentTarget.files ?? [];
              event.currentTarget.value = "";
              if (file) void load(painting, file);
            }}
          />
        </label>
      </span>
      <span class="pair zoom">
        <Tool icon="minus" text={say("zoom_out")} act={() => tools.view.zoom(1 / 1.5)} isOff={tools.view.scale.value === 1} />
        <Tool icon="plus" text={say("zoom_in")} act={() => tools.view.zoom(1.5)} />
        <Tool icon="fit" text={say("fit")} keys="0" act={act("fit")} isOff={tools.view.scale.value === 1} />
      </span>
    </div>
  );
}

interface ToolProps {
  icon: IconName;
  text: string;
  keys?: string;
  /** For tools that are one of several. */
  isOn?: boolean;
  /** It stays where the keyboard is: a button that vanishes under it would lose the place. */
  isOff?: boolean;
  act: () => void;
}

function Tool({ icon, text, keys, isOn, isOff, act }: ToolProps) {
  return (
    <button
      type="button"
      class="quiet icon"
      title={keys ? `${text} (${keys})` : text}
      aria-label={text}
      aria-keyshortcuts={keys?.replace("Ctrl", "Control")}
      aria-pressed={isOn}
      aria-disabled={isOff}
      onClick={() => !isOff && act()}
    >
      <Icon name={icon} />
    </button>
  );
}

/** A mask that was made elsewhere, stretched over the picture. */
async function load(painting: Painting, file: File): Promise<void> {
  const address = URL.createObjectURL(file);
  try {
    painting.load((await decoded(address)).element);
  } finally {
    URL.revokeObjectURL(address);
  }
}
