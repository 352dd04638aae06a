// The login page: pages kept for offline use belong to whoever was here before.

import { forgetPages } from "./kept_pages.js";

forgetPages();
