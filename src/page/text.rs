//! Every word of the interface, in one place: a language is one more table.
//!
//! Words are templates with named gaps (`{n}`), filled by [`fill`]; a [`Counted`] has one template for each
//! plural form of its language. Item texts and label names are not words: they come from the host page.

/// `text` in lower case, by the browser, which has the tables of all scripts already.
#[must_use]
pub fn lower(text: &str) -> String {
    #[cfg(target_arch = "wasm32")]
    return js_sys::JsString::from(text).to_lower_case().into();
    #[cfg(not(target_arch = "wasm32"))]
    text.to_lowercase()
}

/// `text` in upper case.
#[must_use]
pub fn upper(text: &str) -> String {
    #[cfg(target_arch = "wasm32")]
    return js_sys::JsString::from(text).to_upper_case().into();
    #[cfg(not(target_arch = "wasm32"))]
    text.to_uppercase()
}

/// A template for each plural form, in the order that [`Words::plural`] counts.
pub type Counted = &'static [&'static str];

/// The interface in one language.
#[allow(missing_docs)] // The words say it themselves.
#[derive(Debug)]
pub struct Words {
    /// BCP 47, for figures and for the `lang` attribute.
    pub locale: &'static str,
    /// Which form of a [`Counted`] goes with a number.
    pub plural: fn(usize) -> usize,

    pub labeler: &'static str,
    pub views: &'static str,
    pub questions: &'static str,
    pub accepted: &'static str,
    pub set_aside: &'static str,
    pub close: &'static str,
    pub item: &'static str,

    pub ask: &'static str,
    pub doubt_low: &'static str,
    pub doubt_or_check: &'static str,
    pub doubt_rule: &'static str,
    pub doubt_failed: &'static str,
    pub doubt_no_model: &'static str,
    pub doubt_aside: &'static str,
    pub review_accepted: &'static str,
    pub review_answered: &'static str,

    pub answers: &'static str,
    pub last_answer: &'static str,
    pub last_thought: &'static str,
    pub last_agreed: &'static str,
    pub take_suggestion: &'static str,
    pub back: &'static str,
    pub find_label: &'static str,
    pub no_label: &'static str,

    pub enlarge: &'static str,
    pub larger: &'static str,
    pub smaller: &'static str,
    pub picture_gone: &'static str,
    pub picture_of: &'static str,

    pub undo: &'static str,
    pub skip: &'static str,
    pub flag: &'static str,
    pub note: &'static str,
    pub add_note: &'static str,
    pub done: &'static str,

    pub progress: &'static str,
    pub by_model: &'static str,
    pub by_you: &'static str,
    pub waiting: &'static str,
    pub being_read: &'static str,
    pub pace: &'static str,
    pub pace_left: &'static str,
    pub seconds: Counted,
    pub minutes: Counted,
    pub hours: Counted,

    pub keys: &'static str,
    pub keys_on: &'static str,
    pub keys_hint: &'static str,
    pub press_key: &'static str,
    pub change_key: &'static str,
    pub key_taken: &'static str,
    pub usual_keys: &'static str,
    pub key_space: &'static str,

    pub delivery: &'static str,
    pub kept_here: &'static str,
    pub sent_from_here: &'static str,
    pub state_none: &'static str,
    pub state_saved: &'static str,
    pub state_unsaved: &'static str,
    pub state_sending: &'static str,
    pub state_sent: &'static str,
    pub state_offline: &'static str,
    pub state_held: &'static str,
    pub state_refused: &'static str,
    pub count_saved: &'static str,
    pub count_under_way: &'static str,
    pub count_sent: &'static str,
    pub count_refused: &'static str,
    pub hold_offline: &'static str,
    pub hold_other_tab: &'static str,
    pub hold_retry: &'static str,
    pub hold_gave_up: &'static str,
    pub hold_unauthorized: &'static str,
    pub hold_address: &'static str,
    pub send_now: &'static str,
    pub download_lines: &'static str,
    pub download_csv: &'static str,
    pub refused: &'static str,
    pub retry: &'static str,
    pub retry_all: &'static str,
    pub download_refused: &'static str,
    pub delete: &'static str,
    pub delete_all: &'static str,
    pub delete_asked: Counted,
    pub delete_sure: &'static str,
    pub keep: &'static str,
    pub emptied: &'static str,
    pub emptied_hint: Counted,
    pub old: &'static str,
    pub old_hint: &'static str,
    pub no_token: &'static str,
    pub no_token_hint: &'static str,
    pub log_in: &'static str,
    pub test: &'static str,
    pub testing: &'static str,
    pub store_kept: &'static str,
    pub store_may_go: &'static str,
    pub cause_none: &'static str,
    pub cause_somebody: &'static str,
    pub cause_lacks: &'static str,
    pub cause_offline: &'static str,
    pub cause_no_token: &'static str,
    pub cause_page_policy: &'static str,
    pub cause_mixed: &'static str,
    pub cause_unreachable: &'static str,
    pub cause_tls: &'static str,
    pub cause_timed_out: &'static str,
    pub cause_redirect: &'static str,
    pub cause_preflight: &'static str,
    pub cause_headers: &'static str,
    pub cause_method_not_allowed: &'static str,
    pub cause_origin: &'static str,
    pub cause_credentials: &'static str,
    pub cause_unauthorized: &'static str,
    pub cause_forbidden: &'static str,
    pub cause_not_found: &'static str,
    pub cause_wrong_method: &'static str,
    pub cause_wrong_type: &'static str,
    pub cause_too_many: &'static str,
    pub cause_server_fails: &'static str,
    pub cause_web_page: &'static str,
    pub cause_not_confirmed: &'static str,
    pub unsaved: &'static str,
    pub unsaved_until: &'static str,
    pub download: &'static str,
    pub items_broke_off: &'static str,
    pub no_workers: &'static str,

    pub review: &'static str,
    pub review_hint: &'static str,
    pub review_none: &'static str,
    pub review_none_hint: &'static str,
    pub least_sure: &'static str,
    pub previous: &'static str,
    pub next: &'static str,
    pub page_of: &'static str,

    pub aside: &'static str,
    pub aside_hint: &'static str,
    pub aside_none: &'static str,
    pub aside_none_hint: &'static str,
    pub by_hand: &'static str,
    pub aside_more: Counted,
    pub duplicate_id: &'static str,
    pub not_found: &'static str,
    pub unreachable: &'static str,
    pub not_an_image: &'static str,
    pub too_many_pixels: &'static str,
    pub wrong_columns: &'static str,
    pub not_finite: &'static str,
    pub wrong_kind: &'static str,

    pub fetching: &'static str,
    pub preparing: &'static str,
    pub fetching_hint: &'static str,
    pub bytes_of: &'static str,
    pub step_fetch: &'static str,
    pub step_prepare: &'static str,
    pub reading: &'static str,
    pub reading_hint: &'static str,
    pub items_read: &'static str,
    pub items_coming: &'static str,
    pub empty: &'static str,
    pub empty_hint: &'static str,
    pub empty_numbers: &'static str,
    pub empty_numbers_hint: &'static str,
    pub choose_files: &'static str,
    pub let_go: &'static str,
    pub paused: &'static str,
    pub paused_hint: &'static str,
    pub go_on: &'static str,
    pub finished: Counted,
    pub finished_sent: &'static str,
    pub finished_saved: &'static str,
    pub finished_under_way: &'static str,
    pub finished_trouble: &'static str,
    pub finished_unsaved: &'static str,
    pub were_aside: &'static str,
    pub look_through: &'static str,
    pub download_answers: &'static str,
    pub model_error: &'static str,
    pub model_error_hint: &'static str,
    pub config_error: &'static str,
    pub config_error_hint: &'static str,
    pub items_error: &'static str,
    pub items_error_hint: &'static str,
    pub try_again: &'static str,
    pub without_model: &'static str,

    pub no_learner: &'static str,
    pub no_learner_hint: &'static str,
    pub newer_model: &'static str,
    pub newer_model_hint: &'static str,
    pub take_newer: &'static str,
    pub doubt_second_look: &'static str,
    pub add_label: &'static str,
    pub add: &'static str,
    pub cycle: &'static str,
    pub cycle_hint: &'static str,
    pub promise: &'static str,
    pub promise_is: &'static str,
    pub promise_is_always: &'static str,
    pub promise_earned: &'static str,
    pub promise_not_yet: &'static str,
    pub promise_broken: &'static str,
    pub promise_group_earned: &'static str,
    pub promise_group_not_yet: &'static str,
    pub promise_others: &'static str,
    pub promise_short_earned: &'static str,
    pub promise_short: &'static str,
    pub promise_short_broken: &'static str,
    pub nothing_learned: &'static str,
    pub learned: &'static str,
    pub learned_checked: &'static str,
    pub learned_kept: &'static str,
    pub learned_unchecked: &'static str,
    pub calibrated: &'static str,
    pub figure_share: &'static str,
    pub figure_rate: &'static str,
    pub figure_right: &'static str,
    pub figure_right_none: &'static str,
    pub figure_interval: &'static str,
    pub figure_seconds: &'static str,
    pub agreement: &'static str,
    pub agreement_of: &'static str,
    pub role_deferred: &'static str,
    pub role_audit: &'static str,
    pub role_review: &'static str,
    pub role_manual: &'static str,
    pub shown_hidden: &'static str,
    pub shown_shown: &'static str,
    pub shown_after: &'static str,
    pub chart_settled: &'static str,
    pub chart_rate: &'static str,
    pub chart_risk: &'static str,
    pub chart_reliability: &'static str,
    pub chart_confusion: &'static str,
    pub axis_minutes: &'static str,
    pub axis_items: &'static str,
    pub axis_answers: &'static str,
    pub axis_rate: &'static str,
    pub axis_coverage: &'static str,
    pub axis_accuracy: &'static str,
    pub axis_confidence: &'static str,
    pub axis_model: &'static str,
    pub axis_person: &'static str,
    pub series_raw: &'static str,
    pub series_calibrated: &'static str,
    pub series_target: &'static str,
    pub series_ideal: &'static str,
    pub others: &'static str,
    pub save_svg: &'static str,
    pub save_csv: &'static str,
    pub slips: &'static str,
    pub slips_hint: &'static str,
    pub slip: &'static str,
    pub take_home: &'static str,
    pub take_home_hint: &'static str,
    pub download_model: &'static str,
    pub download_manifest: &'static str,
    pub download_head: &'static str,
    pub said_earned: &'static str,
    pub said_broken: &'static str,

    pub say_question: &'static str,
}

/// English.
pub static ENGLISH: Words = Words {
    locale: "en",
    plural: |n| usize::from(n != 1),

    labeler: "Labeler",
    views: "Views",
    questions: "Questions",
    accepted: "Accepted",
    set_aside: "Set aside",
    close: "Close",
    item: "Item {id}",

    ask: "Which label fits?",
    doubt_low: "The model is not sure enough: {p}, where {limit} is asked for.",
    doubt_or_check: "The model is not sure enough, or this is a check: it is not told which, so that the check is a fair one.",
    doubt_rule: "A rule of this task sends it to you: {rule}.",
    doubt_failed: "The model could not read this one: {why}.",
    doubt_no_model: "There is no model here: every item comes to you.",
    doubt_aside: "Set aside: {why}.",
    review_accepted: "The model settled it as {label}, {p}. Choose another label if that is wrong.",
    review_answered: "The answer so far is {label}. Choose another label if that is wrong.",

    answers: "Answers",
    last_answer: "Last answer: {label}",
    last_thought: "Last answer: {label}. The model thought: {thought}, {p}",
    last_agreed: "Last answer: {label}. The model thought so, too, {p}",
    take_suggestion: "Take the suggestion",
    back: "Back",
    find_label: "Find among {n} labels",
    no_label: "No label has “{text}” in its name.",

    enlarge: "Enlarge",
    larger: "Larger",
    smaller: "Smaller",
    picture_gone: "This picture cannot be shown.",
    picture_of: "Picture of item {id}",

    undo: "Undo",
    skip: "Skip",
    flag: "Flag",
    note: "Note",
    add_note: "Add a note",
    done: "Done",

    progress: "Progress",
    by_model: "by the model",
    by_you: "by you",
    waiting: "waiting",
    being_read: "being read",
    pace: "{n} a minute",
    pace_left: "{n} a minute, about {time} left",
    seconds: &["{n} second", "{n} seconds"],
    minutes: &["{n} minute", "{n} minutes"],
    hours: &["{n} hour", "{n} hours"],

    keys: "Keys",
    keys_on: "Answer by single keys",
    keys_hint: "They act while the pointer or the focus is in the labeler, never while you write.",
    press_key: "press a key",
    change_key: "Change the key for {name}, now {key}",
    key_taken: "That key already belongs to {name}.",
    usual_keys: "Back to the usual keys",
    key_space: "Space",

    delivery: "Delivery",
    kept_here: "No address is set: answers are kept in this browser.",
    sent_from_here: "Every answer is saved here first and sent until the server has it.",
    state_none: "Ready",
    state_saved: "Saved",
    state_unsaved: "Unsaved",
    state_sending: "Sending",
    state_sent: "Sent",
    state_offline: "Offline",
    state_held: "On hold",
    state_refused: "Refused",
    count_saved: "saved here",
    count_under_way: "on the way",
    count_sent: "arrived",
    count_refused: "refused",
    hold_offline: "No network. What is kept here goes out as soon as there is one.",
    hold_other_tab: "Another tab of this page is sending.",
    hold_retry: "The last attempt failed ({why}); the next one comes by itself.",
    hold_gave_up: "It has failed for a long time ({why}). Nothing is lost; sending waits until you try again.",
    hold_unauthorized: "The server wants other credentials ({why}). Nothing is lost; sending waits.",
    hold_address: "The address or the format seems wrong ({why}). Nothing is lost; sending waits.",
    send_now: "Send now",
    download_lines: "Download JSON Lines",
    download_csv: "Download CSV",
    refused: "Refused by the server",
    retry: "Try again",
    retry_all: "Try all again",
    download_refused: "Download these",
    delete: "Delete",
    delete_all: "Delete all",
    delete_asked: &[
        "Give up {n} answer? It is not sent any more. Its record stays in the download of all answers.",
        "Give up {n} answers? They are not sent any more. Their records stay in the download of all answers.",
    ],
    delete_sure: "Give up",
    keep: "Keep",
    emptied: "Answers from last time are gone.",
    emptied_hint: &[
        "The browser has cleared its store, and {n} answer with it that had not been sent.",
        "The browser has cleared its store, and {n} answers with it that had not been sent.",
    ],
    old: "Answers have waited here for more than a day.",
    old_hint: "They are safe only as long as the browser keeps them.",
    no_token: "Sending waits for a log-in.",
    no_token_hint: "Nothing is lost: answers are kept here until then.",
    log_in: "Log in again",
    test: "Test connection",
    testing: "Trying …",
    store_kept: "The browser has promised to keep what is stored here.",
    store_may_go: "The browser has not promised to keep what is stored here: it may clear it if the disk is full or you stay away for long.",
    cause_none: "The connection works: the server answers as one that takes records ({status}).",
    cause_somebody: "Somebody answers at this address. Whether records are taken shows with the first one: trying would store something.",
    cause_lacks: "The request cannot be made: it lacks {why}.",
    cause_offline: "This device has no network.",
    cause_no_token: "The page gives no token: its `authorize` has to return one.",
    cause_page_policy: "The page's Content-Security-Policy forbids the connection: add the server's address to connect-src.",
    cause_mixed: "The page is https and the address is http, which browsers do not allow: give the server https.",
    cause_unreachable: "Nobody answers there: check the name and the port, that the server runs, and its certificate by opening the address in a tab of its own.",
    cause_tls: "No secure connection: either http and https are mixed up in the address, or the server's certificate is not valid.",
    cause_timed_out: "The server takes the connection and does not answer in time.",
    cause_redirect: "The server sends the request on to another address: give that one.",
    cause_preflight: "The server refuses the browser's CORS preflight: answer OPTIONS by 2xx, without asking for a log-in, and allow this origin and the headers.",
    cause_headers: "The server's CORS preflight does not allow these headers: add {why} to Access-Control-Allow-Headers.",
    cause_method_not_allowed: "The server's CORS preflight does not allow the method: add it to Access-Control-Allow-Methods, and this origin.",
    cause_origin: "The server answers, but does not allow this page to read it: set Access-Control-Allow-Origin to this page's origin, also for errors.",
    cause_credentials: "The server does not allow cookies from this page: it needs Access-Control-Allow-Credentials: true and this page's origin by name, not *.",
    cause_unauthorized: "The server wants other credentials (401): check the token and delivery.authorization.",
    cause_forbidden: "The server knows who asks and forbids it (403): check the token's rights, or whether it allows this origin.",
    cause_not_found: "There is nothing at this address (404): check delivery.url.",
    cause_wrong_method: "The address does not take this method (405): check delivery.method and delivery.url.",
    cause_wrong_type: "The server does not take this media type (415): check delivery.format.",
    cause_too_many: "The server answers, but wants fewer requests (429): wait a while.",
    cause_server_fails: "The server fails ({status}): its log says why.",
    cause_web_page: "A web page answers: the address is a page's, or this network asks for a log-in.",
    cause_not_confirmed: "The server says yes to what is no record, and does not name what it stores: check delivery.url, and how the answer says so (delivery.results, delivery.confirm).",
    unsaved: "Answers are not saved here.",
    unsaved_until: "They last until this page is closed: {why}.",
    download: "Download",
    items_broke_off: "Items have stopped coming.",
    no_workers: "The model does not run in this browser.",

    review: "Settled by the model",
    review_hint: "Choose an item to correct it.",
    review_none: "Nothing here yet",
    review_none_hint: "What the model settles by itself can be looked through and corrected here.",
    least_sure: "Least sure first",
    previous: "Previous",
    next: "Next",
    page_of: "{from}–{to} of {n}",

    aside: "Set aside",
    aside_hint: "These items could not be read. The rest goes on without them.",
    aside_none: "Nothing was set aside",
    aside_none_hint: "An item that cannot be read would stand here with its reason.",
    by_hand: "Label by hand",
    aside_more: &["{n} more is not shown.", "{n} more are not shown."],
    duplicate_id: "An earlier item has the same id.",
    not_found: "The server answers {status} for this picture.",
    unreachable: "The picture could not be fetched: no network, or its server does not allow this page (CORS).",
    not_an_image: "This is not a picture that the browser can read.",
    too_many_pixels: "{width} × {height} pixels are more than the limit of {limit}.",
    wrong_columns: "{found} numbers, where the model reads {expected}.",
    not_finite: "The number in column {n} is not finite.",
    wrong_kind: "The model reads {expected}.",

    fetching: "Fetching the model",
    preparing: "Preparing the model",
    fetching_hint: "It then runs in this browser: your items stay on this device.",
    bytes_of: "{n} of {of}",
    step_fetch: "Download",
    step_prepare: "Prepare",
    reading: "The model is reading",
    reading_hint: "The first question comes as soon as it meets an item that it is not sure of.",
    items_read: "{n} of {of} items read",
    items_coming: "{n} items read, more are coming",
    empty: "Drop pictures here",
    empty_hint: "Or a JSON or JSON Lines file that lists items. Nothing is uploaded: the model comes to them.",
    empty_numbers: "Drop a file of items here",
    empty_numbers_hint: "JSON or JSON Lines, one item with its numbers each. Nothing is uploaded: the model comes to them.",
    choose_files: "Choose files",
    let_go: "Let go to add",
    paused: "Paused",
    paused_hint: "Nothing is lost. Go on whenever you like.",
    go_on: "Go on",
    finished: &["The item is settled", "All {n} items are settled"],
    finished_sent: "Every answer has arrived.",
    finished_saved: "Every answer is saved in this browser.",
    finished_under_way: "The last answers are still on their way.",
    finished_trouble: "Some answers have not arrived: see Delivery.",
    finished_unsaved: "Download the answers before you close this page: they are not saved here.",
    were_aside: "set aside",
    look_through: "Look through the accepted ones",
    download_answers: "Download answers",
    model_error: "This model cannot be used",
    model_error_hint: "Its file or its description is wrong, or it did not arrive.",
    config_error: "The configuration is wrong",
    config_error_hint: "Only the author of this page can mend it.",
    items_error: "The items cannot be read",
    items_error_hint: "Their list did not arrive, or it is not one.",
    try_again: "Try again",
    without_model: "Go on without the model",

    no_learner: "The model no longer learns",
    no_learner_hint: "What it has settled stays, and nothing is lost. What it reads from now on is for you to answer. Reload the page to go on learning.",
    newer_model: "A newer model is there, version {version}.",
    newer_model_hint: "Your answers stay; everything is read again in the background.",
    take_newer: "Use it",
    doubt_second_look: "The model had settled this one. It has learned since, and is not sure any more.",
    add_label: "Another answer",
    add: "Add",
    cycle: "Learning",
    cycle_hint: "How good the model has become, and how that is known.",
    promise: "The promise",
    promise_is: "What the model settles alone is to be right in at least {target} of cases, with {confidence} confidence.",
    promise_is_always: "What the model settles alone is to be right in at least {target} of cases, with {confidence} confidence at all times at once: checks count from one look to the next, and each look is at twice as many.",
    promise_earned: "Earned: {errors} errors in {n} blind checks that it would have settled, so at least {bound} are right. It settles what it is {threshold} sure of.",
    promise_not_yet: "Not yet: {errors} errors in {n} checks; about {needed} more are needed. Until then it settles nothing.",
    promise_group_earned: "{label}: earned, {errors} errors in {n} checks, from {threshold} on",
    promise_group_not_yet: "{label}: not yet, {errors} errors in {n} checks; about {needed} more",
    promise_others: "All other labels",
    promise_broken: "It was earned, and later checks took it away: what was settled is decided anew.",
    promise_short_earned: "{target} right: earned",
    promise_short: "{target} right: {needed} checks to go",
    promise_short_broken: "{target} right: broken, {needed} checks to go",
    nothing_learned: "It learns from your answers. There is none yet.",
    learned: "Learned from {n} answers.",
    learned_checked: "On {held} answers that it never learns from, its surprise fell from {before} to {after} (log-loss; less is better).",
    learned_kept: "The last answers did not make it better on the checks: the model of {answers} answers stays in use.",
    learned_unchecked: "Too few answers are kept for checking to say how much better it became.",
    calibrated: "Its confidence was off by {before} on average; calibrated, by {after}.",
    figure_share: "settled by the model",
    figure_rate: "items a minute of your time",
    figure_right: "of what it settles is right",
    figure_right_none: "not checked yet",
    figure_interval: "{low} to {high}, from {n} blind checks",
    figure_seconds: "seconds an answer",
    agreement: "Agreement with the model",
    agreement_of: "{role}, prediction {shown}: {right} of {n}",
    role_deferred: "Asked in doubt",
    role_audit: "Blind checks",
    role_review: "Looked through",
    role_manual: "By hand",
    shown_hidden: "hidden",
    shown_shown: "shown",
    shown_after: "shown after",
    chart_settled: "Who settled how much",
    chart_rate: "Items settled a minute",
    chart_risk: "How right, if it settled so much",
    chart_reliability: "Does its confidence mean what it says?",
    chart_confusion: "Where model and person differ",
    axis_minutes: "minutes of your time",
    axis_items: "items",
    axis_answers: "answers",
    axis_rate: "a minute",
    axis_coverage: "share settled by the model",
    axis_accuracy: "share that is right",
    axis_confidence: "confidence",
    axis_model: "model",
    axis_person: "person",
    series_raw: "before calibration",
    series_calibrated: "calibrated",
    series_target: "target",
    series_ideal: "ideal",
    others: "others",
    save_svg: "SVG",
    save_csv: "CSV",
    slips: "Possible slips",
    slips_hint: "Answers that the model contradicts, now that it knows better. Look at them once more.",
    slip: "You said {given}, the model {suggested}",
    take_home: "Take it with you",
    take_home_hint: "The improved model runs wherever ONNX runs. The head alone is small, and another visitor can start from it.",
    download_model: "Improved model (ONNX)",
    download_manifest: "Its manifest",
    download_head: "Head only (JSON)",
    said_earned: "The promise is earned: the model settles on its own now.",
    said_broken: "The promise is broken: the model settles nothing until new checks show that it may.",

    say_question: "Item {item}: {question} {reason} {n} waiting.",
};

/// All languages there are; the first is the one for those that are not there.
static LANGUAGES: &[&Words] = &[&ENGLISH];

/// The table for a BCP 47 tag (`en-GB` finds `en`), or English.
#[must_use]
pub fn words(tag: &str) -> &'static Words {
    let primary = tag.split('-').next().unwrap_or_default();
    let found = LANGUAGES.iter().find(|words| words.locale.eq_ignore_ascii_case(primary));
    found.copied().unwrap_or(&ENGLISH)
}

/// Fills the named gaps of a template; a gap without a value stays as it is, a value is never read as a template.
#[must_use]
pub fn fill(template: &str, gaps: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len() + 16);
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        rest = &rest[open..];
        let gap = rest.find('}').and_then(|close| {
            let value = gaps.iter().find(|(name, _)| *name == &rest[1..close])?;
            Some((value.1, close + 1))
        });
        let (value, end) = gap.unwrap_or((&rest[..1], 1));
        filled.push_str(value);
        rest = &rest[end..];
    }
    filled.push_str(rest);
    filled
}

impl Words {
    /// The words of the charts, in the order of `wire::worker::ChartWord`.
    #[must_use]
    pub fn of_charts(&self) -> [&'static str; 19] {
        [
            self.chart_settled,
            self.chart_rate,
            self.chart_risk,
            self.chart_reliability,
            self.chart_confusion,
            self.axis_minutes,
            self.axis_items,
            self.axis_answers,
            self.axis_rate,
            self.axis_coverage,
            self.axis_accuracy,
            self.axis_confidence,
            self.axis_model,
            self.axis_person,
            self.series_raw,
            self.series_calibrated,
            self.series_target,
            self.series_ideal,
            self.others,
        ]
    }

    /// The form of `counted` that goes with `n`, with `{n}` filled by `figure` (the number as this language writes it).
    #[must_use]
    pub fn counted(&self, counted: Counted, n: usize, figure: &str) -> String {
        let form = counted.get((self.plural)(n)).or(counted.last()).copied().unwrap_or_default();
        fill(form, &[("n", figure)])
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn gaps_are_filled_by_name_and_values_are_not_templates() {
        assert_eq!(fill("{a} of {b}", &[("b", "{a}"), ("a", "1")]), "1 of {a}");
        assert_eq!(fill("{unknown} {", &[]), "{unknown} {");
    }

    #[test]
    fn one_and_many() {
        assert_eq!(ENGLISH.counted(ENGLISH.minutes, 1, "1"), "1 minute");
        assert_eq!(ENGLISH.counted(ENGLISH.minutes, 2, "2"), "2 minutes");
    }

    #[test]
    fn a_region_finds_its_language_and_an_unknown_one_english() {
        assert_eq!(words("en-GB").locale, "en");
        assert_eq!(words("tlh").locale, "en");
    }
}
