"""The page of the config's fields."""

from alexnet_jax.config_fields import all_fields
from alexnet_jax.run import config_page
from alexnet_jax.system import recipes
from tests.support import tiny


def test_the_page_is_what_its_command_writes():
    written = (tiny.REPOSITORY / "docs" / "config.md").read_text()
    assert written == config_page.page(), f"write it again: {config_page.__doc__}"


def test_the_page_has_every_field_and_recipe():
    text = config_page.page()
    for name in all_fields():
        section, _, last = name.rpartition(".")
        part = text.partition(f"## {section or 'The run'}\n")[2].partition("\n## ")[0]
        assert f"\n| `{last}` | " in part, name
    for name in recipes.names():
        assert f"\n| `{name}` | " in text
