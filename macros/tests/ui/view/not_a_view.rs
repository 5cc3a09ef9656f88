use highwater_core::domain::View;

struct Balance;

fn is_view<V: View>() {}

fn main() {
    is_view::<Balance>();
}
