//! Bindings that are wrong on purpose, each of which has to be found.

use crate::names::{check_names, check_symbols, symbols};
use crate::shadow::{check_layouts, check_prototypes};
use crate::{bindings, header};

/// The bindings with one mistake.
fn with_mistake(right: &str, wrong: &str) -> String {
    let bindings = bindings();
    assert_eq!(bindings.matches(right).count(), 1, "the text to be replaced: {right}");
    bindings.replace(right, wrong)
}

/// The error must be about `culprit`, not about a check that is broken itself.
fn assert_finds(result: Result<(), String>, culprit: &str) {
    let error = result.expect_err("the mistake was not found");
    assert!(error.contains(culprit), "{error}");
}

#[test]
fn a_wrong_prototype_is_found() {
    let mistakes = [
        ("hak_collect", "hak_collect(force: c_int)", "hak_collect(force: usize)"),
        ("hak_version", "hak_version() -> c_int", "hak_version() -> u32"),
        (
            "hak_free_sized",
            "hak_free_sized(ptr: *mut c_void, size: usize)",
            "hak_free_sized(ptr: *mut c_void)",
        ),
        (
            "hak_usable_size",
            "hak_usable_size(ptr: *const c_void)",
            "hak_usable_size(ptr: *mut c_void)",
        ),
        (
            "hak_heap_reset",
            "hak_heap_reset(heap: *mut hak_heap_t)",
            "hak_heap_reset(heap: *const hak_heap_t)",
        ),
        (
            "hak_heap_of",
            "hak_heap_of(ptr: *const c_void) -> *mut hak_heap_t",
            "hak_heap_of(ptr: *const c_void) -> *mut hak_heap_options_t",
        ),
        (
            "hak_limit_set",
            "callback: hak_limit_callback_t, argument: *mut c_void",
            "callback: hak_limit_callback_t, argument: *const c_void",
        ),
        (
            "hak_option_get",
            "hak_option_get(number: c_uint,",
            "hak_option_get(number: c_int,",
        ),
        (
            "hak_tier_name",
            "hak_tier_name(tier: c_int) -> *const c_char",
            "hak_tier_name(tier: c_int) -> *mut c_char",
        ),
    ];
    for (function, right, wrong) in mistakes {
        let result = check_prototypes(&format!("wrong-{function}"), &with_mistake(right, wrong));
        assert_finds(result, &format!("conflicting types for '{function}'"));
    }
}

#[test]
fn a_wrong_layout_is_found() {
    let mistakes = [
        // Two fields exchanged: the sizes stay.
        (
            "order",
            "offset of hak_stats_t.dirty_bytes",
            "pub dirty_bytes: u64",
            "pub mmap_bytes_: u64",
        ),
        (
            "type",
            "type of hak_stats_t.purged_bytes",
            "pub purged_bytes: u64",
            "pub purged_bytes: i64",
        ),
        ("width", "size of hak_stats_t.heaps", "pub heaps: u64", "pub heaps: u32"),
        (
            "missing",
            "size of hak_tier_stats_t",
            "    /// Requests it could not serve and that no other tier served.\n    pub failed: u64,\n",
            "",
        ),
        (
            "count",
            "size of hak_stats_t.tier",
            "hak_tier_stats_t; HAK_TIER_COUNT as usize]",
            "hak_tier_stats_t; HAK_TIER_MMAP as usize]",
        ),
        (
            "element",
            "type of hak_thread_stats_t.freed",
            "pub freed: [u64; HAK_TIER_COUNT as usize]",
            "pub freed: [i64; HAK_TIER_COUNT as usize]",
        ),
        (
            "pointer",
            "type of hak_option_t.meaning",
            "pub meaning: *const c_char",
            "pub meaning: *mut c_char",
        ),
        (
            "sign",
            "type of hak_option_t.standard",
            "pub standard: i64",
            "pub standard: u64",
        ),
        (
            "heap",
            "type of hak_heap_stats_t.peak_bytes",
            "pub peak_bytes: u64",
            "pub peak_bytes: f64",
        ),
        (
            "option of a heap",
            "size of hak_heap_options_t.limit_bytes",
            "pub limit_bytes: usize",
            "pub limit_bytes: u32",
        ),
        (
            "snapshot",
            "size of hak_ace_snapshot_t.classes",
            "[hak_ace_class_t; HAK_ACE_SNAPSHOT_CLASSES]",
            "[hak_ace_class_t; 63]",
        ),
        (
            "function",
            "type hak_limit_callback_t",
            "extern \"C\" fn(argument: *mut c_void, size: usize) -> c_int>",
            "extern \"C\" fn(argument: *mut c_void, size: u32) -> c_int>",
        ),
        (
            "int",
            "size of hak_config_t.replaces_malloc",
            "pub replaces_malloc: c_int",
            "pub replaces_malloc: u8",
        ),
    ];
    for (name, culprit, right, wrong) in mistakes {
        let mut bindings = with_mistake(right, wrong);
        if name == "order" {
            bindings = bindings.replace("pub mmap_bytes: u64", "pub dirty_bytes: u64");
            bindings = bindings.replace("pub mmap_bytes_: u64", "pub mmap_bytes: u64");
        }
        assert_finds(check_layouts(&format!("wrong-{name}"), &bindings), culprit);
    }
}

#[test]
fn a_wrong_constant_is_found() {
    let mistakes = [
        ("HAK_TIER_POOL", "HAK_TIER_POOL: c_int = 2", "HAK_TIER_POOL: c_int = 7"),
        ("HAK_TIER_NONE", "HAK_TIER_NONE: c_int = -1", "HAK_TIER_NONE: c_int = 1"),
    ];
    for (constant, right, wrong) in mistakes {
        let result = check_layouts(&format!("wrong-{constant}"), &with_mistake(right, wrong));
        assert_finds(result, &format!("value of {constant}"));
    }
}

#[test]
fn an_omission_or_a_surplus_is_found() {
    let symbols = symbols();

    let without_function = with_mistake("    pub fn hak_good_size(size: usize) -> usize;\n", "");
    assert_finds(check_names(&header(), &without_function), "hak_good_size");
    assert_finds(check_symbols(&without_function, &symbols), "hak_good_size");

    let with_function = with_mistake(
        "pub fn hak_version()",
        "pub fn hak_nothing();\n    pub fn hak_version()",
    );
    assert_finds(check_names(&header(), &with_function), "hak_nothing");
    assert_finds(check_symbols(&with_function, &symbols), "hak_nothing");

    let without_constant = with_mistake("pub const HAK_TIER_NONE: c_int = -1;", "");
    assert_finds(check_names(&header(), &without_constant), "HAK_TIER_NONE");

    let print = "HAK_API void hak_stats_print";
    let header_with_type = header().replace(print, &format!("typedef struct {{ int n; }} hak_more_t;\n{print}"));
    assert_finds(check_names(&header_with_type, &bindings()), "hak_more_t");

    let mut with_symbol = symbols.clone();
    with_symbol.insert("malloc".to_owned());
    assert_finds(check_symbols(&bindings(), &with_symbol), "malloc");
}
