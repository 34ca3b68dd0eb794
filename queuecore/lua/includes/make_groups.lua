-- What a queue with groups needs of its scripts: made only there, so that others pay nothing for it.
local function make_groups(root)
--- @include "includes/group_of"
--- @include "includes/leave_group"
--- @include "includes/enter_group"
--- @include "includes/delay_group"
--- @include "includes/add_group_marker"
--- @include "includes/promote_groups"
--- @include "includes/survey_groups"
--- @include "includes/claim_groups"
  local own = 'qc:' .. root
  return { of = group_of, leave = leave_group, enter = enter_group, delay = delay_group,
    mark = add_group_marker, promote = promote_groups, survey = survey_groups, claim = claim_groups,
    active = own .. 'group-active', turns = own .. 'groups', limited = own .. 'groups-limited',
    maxed = own .. 'groups-maxed', delayed = own .. 'group-delayed' }
end
