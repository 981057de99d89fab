/** A page for tests: its texts are their own keys. */
import { load } from "../src/page";

export function loadPlainPage(): void {
  load({
    language: "en",
    texts: {},
    account: null,
    model: { model_id: "a/model", display_name: "A model", ready: true, input_schema: { required: [], properties: {} } },
    image_fields: {},
    examples: [],
    takers: [],
    base_url: "http://127.0.0.1:8000",
    login_url: "/login",
    profile_url: "/profile",
  });
}
